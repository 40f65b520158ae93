"""Reports: one page that fetches nothing and runs nothing, whatever the run's files say, and runs side by side."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest

import lmkit
from lmkit.report.curves import sparkline


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in their width and their rate."""
    place = tmp_path_factory.mktemp("runs")
    (place / "text.txt").write_text("Robin Hood in greenwood stood, and under a tree was he.\n" * 200)
    recipe: dict[str, Any] = {
        "tokenizer": {"use": "bpe", "vocab_size": 300},
        "data": {
            "train": [{"path": str(place / "text.txt"), "licence": "public domain <b>"}],
            "document": "line",
            "validation": 0.1,
        },
        "encoder": {"use": "qwen3", "layers": 1, "width": 64},
        "objective": {"use": "clm"},
        "train": {
            "steps": 6,
            "block_tokens": 32,
            "batch_tokens": 256,
            "precision": "fp32",
            "compile": "off",
            "evaluate_every_steps": 2,
        },
    }
    lmkit.pretrain(recipe, run=place / "narrow", quiet=True)
    lmkit.pretrain(recipe, run=place / "wide", overrides=["encoder.width=128", "train.steps=4"], quiet=True)
    return place


class Reader(html.parser.HTMLParser):
    """Tags, what they refer to, and what a person reads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href", "action")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_report_has_the_run_in_one_page(runs: Path) -> None:
    path = lmkit.write_report(runs / "narrow")
    assert path == runs / "narrow" / "report.html"
    read = Reader(path.read_text())
    assert read.tags.count("svg") == 4
    assert "script" not in read.tags
    assert all(link.startswith("#") for link in read.links)
    for words in ("narrow", "Validation", "encoder.width", "qwen3", "lmkit-gpt", "public domain <b>", "Training loss"):
        assert words in read.words
    assert "b" not in read.tags  # what a file says is text
    assert "train.steps" in read.words
    assert "train.clip" not in read.words.partition("config.toml")[0]  # which is the default


def test_a_report_of_a_run_that_has_just_begun_is_a_page_too(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_bytes((runs / "narrow" / "config.toml").read_bytes())
    assert "not yet" in Reader(lmkit.write_report(folder).read_text()).words
    (folder / "metrics.jsonl").write_text('{"event": "alarm", "step": 1, "message": "<script>alert(1)</script>"}\n{"ev')
    odd = ['{"event": "step", "step": 1}', '{"event": "evaluated", "step": 1}', '{"event": [], "step": 1}', "null"]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("\n" + "\n".join(odd))
    read = Reader(lmkit.write_report(folder, out=tmp_path / "page.html").read_text())
    assert "script" not in read.tags
    assert "<script>alert(1)</script>" in read.words


def test_runs_are_compared_where_they_differ(runs: Path, tmp_path: Path) -> None:
    found = lmkit.compare([runs / "narrow", runs / "wide"], out=tmp_path / "both.html")
    assert found["differences"] == {
        "encoder.width": {"narrow": 64, "wide": 128},
        "train.steps": {"narrow": 6, "wide": 4},
    }
    assert found["runs"]["wide"]["steps"] == 4
    assert found["runs"]["narrow"]["validation.loss"] > 0
    assert [len(curve) for curve in found["curves"].values()] == [6, 4]
    read = Reader((tmp_path / "both.html").read_text())
    assert read.tags.count("svg") == 4
    assert json.dumps(found)


def test_what_is_no_run_is_told(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(lmkit.RunError, match="no such folder"):
        lmkit.write_report(tmp_path / "nothing")
    with pytest.raises(lmkit.ConfigError, match="expected two different runs or more, got "):
        lmkit.compare([runs / "narrow"])
    with pytest.raises(lmkit.RunError, match=re.escape(f"{tmp_path / 'no' / 'page.html'}: cannot be written")):
        lmkit.write_report(runs / "narrow", out=tmp_path / "no" / "page.html")


def test_a_sparkline_is_low_where_values_are_low() -> None:
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([2.0, float("nan"), 2.0]) == "▁x▁"
    assert sparkline([]) == ""
    assert len(sparkline([float(n) for n in range(1000)])) == 40
