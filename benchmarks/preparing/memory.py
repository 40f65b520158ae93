"""python -m benchmarks.preparing.memory [MB ...]: does memory grow with the corpus, from text to training examples?

Each size is one file, the books of LMKIT_DATA repeated, read in a process of its own; a document is a file, so one
document is all of it. The tokenizer is a real one of 8,192 tokens, trained on the validation books.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lmkit_gpt.bpe import BytePairEncoding

from benchmarks.places import ROOT
from benchmarks.preparing.corpus import repeat_books, train_tokenizer
from lmkit.data.blocks import Blocks, surroundings
from lmkit.data.prepare import prepare
from lmkit.data.settings import Data
from lmkit.data.stream import Stream

COLUMNS = ("corpus", "documents", "tokens", "tokenized in", "speed", "blocks in", "memory", "1,000 examples in")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preparing.memory", description=__doc__)
    parser.add_argument("megabytes", nargs="*", type=int, default=[10, 100, 1000])
    parser.add_argument("--document", default="file", choices=["file", "paragraph", "line"])
    parser.add_argument("--measure", type=Path, help="a folder that this script made")
    options = parser.parse_args()
    if options.measure:
        json.dump(dict(_measure(options.measure, options.document)), sys.stdout)
        return
    print("", *COLUMNS, "", sep=" | ")
    print("|", "---|" * len(COLUMNS), sep="")
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            repeat_books(folder / "corpus.txt", megabytes * 1_000_000)
            train_tokenizer().save(folder)
            command = [sys.executable, "-m", "benchmarks.preparing.memory", "--document", options.document]
            environment = {**os.environ, "LMKIT_CACHE": str(folder / "cache")}
            done = subprocess.run(
                [*command, "--measure", name], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
            )
        m = json.loads(done.stdout)
        cells = (
            f"{megabytes} MB", f"{m['documents']:,}", f"{m['tokens']:,}", f"{m['build']:.0f} s",
            f"{megabytes / m['build']:.1f} MB/s", f"{m['blocks']:.2f} s", f"{m['memory']} MB", f"{m['examples']:.2f} s",
        )  # fmt: skip
        print("", *cells, "", sep=" | ", flush=True)


def _measure(folder: Path, document: str) -> Iterator[tuple[str, float]]:
    """In a process of its own: from text to examples; memory is what it takes over the imports, in MB."""
    tokenizer = BytePairEncoding.load(folder)
    before = _peak()
    # The corpus may end within a character, hence "skip".
    data = Data(train=(folder / "corpus.txt",), document=document, bad_input="skip")  # type: ignore[arg-type]
    began = time.perf_counter()
    store = prepare(data, tokenizer, "of-the-benchmark").train[0]
    yield "build", time.perf_counter() - began
    began = time.perf_counter()
    blocks = Blocks(store, 128, *surroundings(tokenizer))
    yield "blocks", time.perf_counter() - began
    yield "memory", _peak() - before  # later, pages of the files that are mapped would count
    began = time.perf_counter()
    Stream([blocks], [1.0], seed=1).examples(12_345, 1000)
    yield "examples", time.perf_counter() - began
    yield "documents", store.documents
    yield "tokens", store.total_tokens


def _peak() -> int:
    """MB of memory at its highest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
