"""Ids that must never change by themselves: a vocabulary that was trained once, and lines as it cut them.

To renew: python plugins/lmkit-bert/tests/test_golden.py
"""

from pathlib import Path

from lmkit_bert.wordpiece import WordPiece

GOLDEN = Path(__file__).parent / "golden"
CONFIG = WordPiece.Config(vocab_size=500)
LINES = GOLDEN / "lines.txt"


def lines() -> list[str]:
    """The text of each golden line: what stands behind its ids."""
    return [line.partition("\t")[2] for line in LINES.read_text(encoding="utf-8").splitlines()]


def cut(tokenizer: WordPiece, texts: list[str]) -> str:
    return "".join(
        f"{' '.join(map(str, ids))}\t{text}\n" for ids, text in zip(tokenizer.encode_batch(texts), texts, strict=True)
    )


def test_the_golden_tokenizer_gives_the_golden_ids() -> None:
    assert len(lines()) == 12
    assert cut(WordPiece.load(GOLDEN), lines()) == LINES.read_text(encoding="utf-8")


def test_training_on_the_golden_lines_gives_the_golden_vocabulary() -> None:
    trained, golden = WordPiece.train(CONFIG, lines()), WordPiece.load(GOLDEN)
    assert trained._pipeline.get_vocab() == golden._pipeline.get_vocab()
    assert cut(trained, lines()) == LINES.read_text(encoding="utf-8")


if __name__ == "__main__":
    tokenizer = WordPiece.train(CONFIG, lines())
    tokenizer.save(GOLDEN)
    LINES.write_text(cut(tokenizer, lines()), encoding="utf-8")
