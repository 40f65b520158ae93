"""lmkit: from a text file to blocks that a run can read in any order."""

import json
import os
import tempfile
import time

from lmkit_gpt.bpe import BytePairEncoding

from benchmarks.preparing.corpus import corpus
from lmkit.data.blocks import Blocks, surroundings
from lmkit.data.prepare import prepare
from lmkit.data.settings import Data

MEGABYTES = 100
BLOCK_TOKENS = 128


def main() -> None:
    folder = corpus(MEGABYTES)
    tokenizer = BytePairEncoding.load(folder)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["LMKIT_CACHE"] = cache
        # A document is a paragraph; the corpus may end within a character, hence "skip".
        data = Data(train=(folder / "corpus.txt",), document="paragraph", bad_input="skip")
        begun = time.perf_counter()
        [store] = prepare(data, tokenizer, "of-the-benchmark").train
        blocks = Blocks(store, BLOCK_TOKENS, *surroundings(tokenizer))
        seconds = time.perf_counter() - begun
        config = {"documents": store.documents, "tokens": store.total_tokens, "blocks": len(blocks)}
    print(json.dumps({"seconds": [seconds], "work": MEGABYTES, "config": config}))


if __name__ == "__main__":
    main()
