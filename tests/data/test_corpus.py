from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkit.data.corpus import PIECE_CHARACTERS, Piece, hold_out, is_held_out, read_documents
from lmkit.data.files import find
from lmkit.data.settings import Data
from lmkit.data.tally import Tally
from lmkit.errors import DataError
from tests.data.conftest import Write, documents_of

TEXT = "\n\nOne.\nOne more.\n\n  \nTwo.\n\n\nThree.\n"
SKIP = 'or leave out what is bad with bad_input = "skip" in [data]'


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.strange", "a", "a.txt.gz"])
@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("file", ["One.\nOne more.\n\n  \nTwo.\n\n\nThree.\n"]),
        ("paragraph", ["One.\nOne more.", "Two.", "Three."]),
        ("line", ["One.", "One more.", "Two.", "Three."]),
    ],
)
def test_a_document_is_a_file_a_paragraph_or_a_line(
    write: Write, name: str, document: str, expected: list[str]
) -> None:
    tally = Tally()
    assert documents_of(write(name, TEXT), document=document, tally=tally) == expected
    assert (tally.files, tally.documents) == (1, len(expected))
    assert tally.bytes == sum(map(len, expected))


def test_a_byte_order_mark_and_windows_line_ends_leave_no_trace(write: Write) -> None:
    path = write("a.txt", "\ufeffOne.\r\n\r\nTw\ro.\r\n")
    assert documents_of(path) == ["One.\n\nTw\ro.\n"]
    assert documents_of(path, document="paragraph") == ["One.", "Tw\ro."]


@pytest.mark.parametrize("document", ["file", "paragraph"])
def test_a_long_document_comes_in_pieces_cut_at_line_ends(write: Write, document: str) -> None:
    text = "".join(f"Line {i} of a long text, schön.\n" for i in range(10_000))
    path = write("a.txt", text)
    pieces = list(read_documents(find([path]), Data(train=(path,), document=document), Tally()))
    assert len(pieces) > 4
    assert max(len(piece.text) for piece in pieces) < PIECE_CHARACTERS + 50
    assert all(piece.text.endswith("\n") for piece in pieces[:-1])
    assert [piece.ends_document for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert "".join(piece.text for piece in pieces) == (text if document == "file" else text[:-1])


def test_only_line_feeds_end_lines(write: Write) -> None:
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f"
    assert documents_of(write("a.txt", text), document="line") == [text]


NO_UTF8 = "{}:%d: byte %d of the line, %s, is not UTF-8 (invalid %s byte). Convert the file to UTF-8"
EMPTY = "{}: an empty document, where text is wanted. Remove it"
LONG = "{}:2: the line is longer than 0.004 MB, the limit. Break it up, or raise longest_line_mb in [data]"
BAD = [
    (b"fine\nb\xffd\n", "invalid UTF-8", NO_UTF8 % (2, 2, "0xff", "start")),
    (b"\xff\xfea\x00\n", "invalid UTF-8", NO_UTF8 % (1, 1, "0xff", "start")),
    (b"fine\nb\xed\xa0\x80d\n", "invalid UTF-8", NO_UTF8 % (2, 2, "0xed", "continuation")),
    (b"fine\n\nwith \x00\nfine\n", "NUL byte", "{}:3: byte 6 of the line is NUL, which no text has. Remove it"),
    (b"", "empty document", EMPTY),
    (b" \n\t\n\n", "empty document", EMPTY),
    (b"fine\n" + b"x" * 5000 + b"\nfine\n", "line too long", LONG),
]


@pytest.mark.parametrize(("content", "kind", "message"), BAD)
def test_bad_input_stops_with_file_and_line(write: Write, content: bytes, kind: str, message: str) -> None:
    path = write("a.txt", content)
    with pytest.raises(DataError) as error:
        documents_of(path, longest_line_mb=0.004)
    assert str(error.value) == f"{message.format(path)}, {SKIP}"


@pytest.mark.parametrize(("content", "kind", "message"), BAD)
def test_bad_input_is_skipped_and_counted_when_asked(write: Write, content: bytes, kind: str, message: str) -> None:
    path = write("a.txt", content + b"last\n")
    tally = Tally("skip")
    documents = documents_of(path, bad_input="skip", longest_line_mb=0.004, document="line", tally=tally)
    assert documents[-1] == "last"
    assert set(documents) <= {"fine", "last"}
    expected = {} if kind == "empty document" else {kind: 1}
    assert tally.skipped == expected
    assert all(message.format(path).startswith(problem) for problem in tally.first.values())


def test_a_line_of_just_the_limit_is_fine(write: Write) -> None:
    for end in (b"", b"\n"):
        assert documents_of(write("a.txt", b"x" * 4000 + end), longest_line_mb=0.004, document="line") == ["x" * 4000]
    with pytest.raises(DataError, match=r"a.txt:1: the line is longer than 0.004 MB"):
        documents_of(write("a.txt", b"x" * 4001), longest_line_mb=0.004)


def test_a_cut_gzip_file_is_bad_from_there_on(write: Write) -> None:
    whole = write("whole.txt.gz", "".join(f"Line {i * i}.\n" for i in range(20_000)))
    path = whole.with_name("cut.txt.gz")
    path.write_bytes(whole.read_bytes()[:-2000])
    tally = Tally("skip")
    kept = documents_of(path, bad_input="skip", document="line", tally=tally)
    assert 1000 < len(kept) < 20_000
    assert kept == [f"Line {i * i}." for i in range(len(kept))]
    assert tally.skipped == {"damaged gzip": 1}
    with pytest.raises(DataError) as error:
        documents_of(path, document="line")
    assert str(error.value) == (
        f"{path}:{len(kept) + 1}: the gzip file is damaged or cut off here: Compressed file ended before the "
        f"end-of-stream marker was reached. Fetch it again, {SKIP}"
    )


def test_what_is_no_gzip_is_told(write: Write) -> None:
    path = write("a.txt", "text")
    path = path.rename(path.with_name("a.txt.gz"))
    with pytest.raises(DataError, match=r"a.txt.gz:1: the gzip file is damaged or cut off here: Not a gzipped file"):
        documents_of(path)


@pytest.mark.data
def test_kuhns_malformed_utf8_is_counted_line_by_line(data_folder: Path) -> None:
    path = data_folder / "hard_inputs" / "UTF-8-test.txt"
    truth = {"invalid UTF-8": 0, "NUL byte": 0}
    good, first = [], 0
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            truth["invalid UTF-8"] += 1
            first = first or number
        else:
            truth["NUL byte"] += "\0" in text
            good += [text] if text.strip() and "\0" not in text else []
    tally = Tally("skip")
    assert documents_of(path, document="line", bad_input="skip", tally=tally) == good
    assert tally.skipped == {kind: count for kind, count in truth.items() if count}
    assert truth["invalid UTF-8"] > 50
    with pytest.raises(DataError, match=rf"^{path}:\d+: ") as error:
        documents_of(path)
    assert str(error.value) == f"{min(tally.first.values(), key=_line)}. " + str(error.value).split(". ")[-1]


def _line(problem: str) -> int:
    return int(problem.split(":")[1])


def test_a_share_is_held_out_the_same_way_each_time() -> None:
    pieces = [Piece(f"{i}{part}", 2, part == "b") for i in range(2000) for part in "ab"]
    out = list(hold_out(pieces, 0.1, held_out=True))
    kept = list(hold_out(pieces, 0.1, held_out=False))
    assert sorted([*out, *kept], key=pieces.index) == pieces
    assert not set(out) & set(kept)
    assert len(out) / 2 == 200
    assert len(out) == 2 * len({piece.text[:-1] for piece in out}), "a document was torn apart"
    assert len({int(piece.text[:-1]) % 10 for piece in out}) == 10, "one in ten at random, not each tenth"


@settings(deadline=None, max_examples=30)
@given(share=st.floats(0.001, 0.999), documents=st.integers(1, 3000))
def test_a_share_of_documents_is_that_share(share: float, documents: int) -> None:
    held = sum(is_held_out(number, share) for number in range(documents))
    assert abs(held - share * documents) <= 1


def test_the_least_and_the_largest_share(write: Write) -> None:
    assert sum(is_held_out(number, 1e-6) for number in range(1_000_000)) == 1
    assert sum(is_held_out(number, 1 - 1e-6) for number in range(1_000_000)) == 999_999
    for share in (1e-7, 1 - 1e-7):
        with pytest.raises(ValueError, match=r"a share from 0\.000001 to 0\.999999"):
            Data(train=("a.txt",), validation=share)


def test_an_empty_file_among_few_is_told(write: Write) -> None:
    folder = write("a.txt", "one\ntwo\n").parent
    empty = write("b.txt", "")
    with pytest.raises(DataError, match=rf"{empty}: an empty document"):
        documents_of(folder, validation=0.1, held_out=False)
    assert documents_of(folder, validation=0.1, held_out=True, bad_input="skip") == ["two\n"]


def test_of_few_files_the_end_of_each_is_held_out(write: Write) -> None:
    book = [f"line {i} of a long book\n" for i in range(10_000)]
    one = write("one.txt", "".join(book))
    [held] = documents_of(one, validation=0.1, held_out=True)
    [kept] = documents_of(one, validation=0.1, held_out=False)
    assert kept + held == "".join(book)
    assert len(held) / len(kept + held) == pytest.approx(0.1, abs=1e-3)
    both = write("two.txt", "a\nb\nc\n").parent
    assert documents_of(both, validation=0.1, held_out=True) == [held, "c\n"]
    assert documents_of(both, validation=0.1, held_out=False) == [kept, "a\nb\n"]
    assert len(documents_of(both, validation=0.5, held_out=True)) == 1  # a file is that share: it is taken whole


def test_a_file_of_one_line_cannot_be_divided(write: Write) -> None:
    path = write("a.txt", "one line")
    assert documents_of(path, validation=0.1, held_out=True) == ["one line"]
    assert documents_of(path, validation=0.1, held_out=False) == []
