import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmkit.data.prepare import prepare, training_texts
from lmkit.data.settings import Data, Source
from lmkit.errors import DataError
from tests.data.byte_tokenizer import ByteTokenizer
from tests.data.conftest import Write
from tests.data.test_store import texts_of


def test_each_source_and_each_validation_set_has_its_store(write: Write) -> None:
    a, b, c = (write(f"{name}.txt", f"text {name}") for name in "abc")
    data = Data(train=[a, Source(path=b, weight=2.5)], validation={"one": [c], "both": [a, c]})
    stores = prepare(data, ByteTokenizer(), "t")
    assert [texts_of(store) for store in stores.train] == [["text a"], ["text b"]]
    assert stores.weights == (1.0, 2.5)
    assert {name: texts_of(store) for name, store in stores.validation.items()} == {
        "one": ["text c"],
        "both": ["text a", "text c"],
    }
    assert prepare(Data(train=[c]), ByteTokenizer(), "t").train[0].fingerprint == stores.validation["one"].fingerprint
    assert list(training_texts(data)) == ["text a", "text b"]


def test_a_held_out_share_is_in_validation_alone(write: Write) -> None:
    paths = [write(f"{name}.txt", "".join(f"{name}{i}\n" for i in range(300))) for name in "ab"]
    data = Data(train=paths, validation=0.1, document="line")
    stores = prepare(data, ByteTokenizer(), "t")
    train = [text for store in stores.train for text in texts_of(store)]
    held_out = texts_of(stores.validation["validation"])
    assert sorted(train + held_out) == sorted(f"{name}{i}" for name in "ab" for i in range(300))
    assert 30 < len(held_out) < 100
    assert list(training_texts(data)) == train


def test_a_share_that_holds_out_nothing_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="no text is left to tokenize, of 1 files"):
        prepare(Data(train=[write("a.txt", "text")], validation=0.001), ByteTokenizer(), "t")


def test_reading_text_loads_neither_torch_nor_datasets() -> None:
    code = (
        "import sys, lmkit.data.prepare, lmkit.data.rows, lmkit.data.blocks, lmkit.data.order\n"
        "assert not {'torch', 'datasets', 'pyarrow', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


READ_A_LONG_LINE = """
import resource, sys
from pathlib import Path
from lmkit.data.corpus import read_documents
from lmkit.data.files import find
from lmkit.data.settings import Data
from lmkit.data.tally import Tally
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = Data(train=[sys.argv[1]], bad_input="skip")
tally = Tally("skip")
pieces = [piece.text for piece in read_documents(find([Path(sys.argv[1])]), data, tally)]
print(repr(pieces), tally.skipped, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("gap", [b"\0", b"x"])
def test_a_line_of_a_hundred_megabytes_does_not_fill_the_memory(write: Write, gap: bytes) -> None:
    path = write("a.txt", "before\n")
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        if gap == b"\0":
            file.seek(100_000_000, os.SEEK_CUR)  # a hole: NUL bytes that take no disk
        else:
            for _ in range(100):
                file.write(gap * 1_000_000)
        file.write(b"\nafter\n")
    command = [sys.executable, "-c", READ_A_LONG_LINE, str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    read, megabytes = done.stdout.rsplit(maxsplit=1)
    assert read == "['before\\nafter\\n'] {'line too long': 1}"
    assert int(megabytes) < 50
