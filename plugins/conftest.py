"""Texts that tests of several plugins read: short ones that break careless code, and long ones in every script."""

import json
import zipfile
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent.parent / "tests/data_samples"


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """Sixty strings of the Big List of Naughty Strings (MIT licence, beside the file)."""
    texts: list[str] = json.loads((SAMPLES / "naughty_strings.json").read_text(encoding="utf-8"))
    assert len(texts) == 60
    return texts


@pytest.fixture(scope="session")
def hard_strings(data_folder: Path) -> list[str]:
    return hard_texts(data_folder)


def hard_texts(data_folder: Path) -> list[str]:
    """All naughty strings, Unicode's own tests of normalization and graphemes, and a declaration in many languages."""
    folder = data_folder / "hard_inputs"
    texts: list[str] = json.loads((folder / "blns.json").read_text(encoding="utf-8"))
    texts += (folder / "UTF-8-demo.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    for name, splitters in (("NormalizationTest.txt", ";"), ("GraphemeBreakTest.txt", "\u00f7\u00d7")):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            codes = "".join(" " if mark in splitters else mark for mark in line.partition("#")[0]).split()
            if codes and not line.startswith("@"):
                texts.append("".join(chr(int(code, 16)) for code in codes if not 0xD800 <= int(code, 16) < 0xE000))
    with zipfile.ZipFile(folder / "udhr2.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        texts += [archive.read(name).decode("utf-8")[:2000] for name in names[::4]]
    assert len(texts) > 20_000
    return texts
