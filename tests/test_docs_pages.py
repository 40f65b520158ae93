"""The pages of docs/: their files, commands and code, in the order in which they stand, really run."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from tests.cli import forked

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^```(?:\{code-block\} )?(python|toml|shell)\n(?::caption: (\S+)\n\n)?(.*?)^```$", re.M | re.S)
SHORTER = {
    'tokens = "10M"': "tokens = 4000",
    "train.tokens=12M": "train.tokens=6000",
    "vocab_size = 8192": "vocab_size = 400",
    "vocab_size = 2000": "vocab_size = 400",
    "minutes = 1": "steps = 3",
    '"minutes": 2': '"steps": 3',
    '"minutes": 1': '"steps": 3',
    '"epochs": 20': '"epochs": 1',
    "epochs = 3": "epochs = 1",
    "layers = 4\nwidth = 256": "layers = 1\nwidth = 64",
}
"""What is said of long runs, for a test."""

PAGES = sorted(path for path in DOCS.rglob("*.md") if _BLOCK.search(path.read_text(encoding="utf-8")))


def shorter(text: str) -> str:
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_runs_from_its_first_block_to_its_last(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    for name in "ab":
        lines = [f"Once upon a time {n} men of {name} went to the green wood.\n" for n in range(300)]
        (tmp_path / "texts" / f"{name}.txt").write_text("\n".join(lines))
    rows = [{"text": f"number {n} is {'odd' if n % 2 else 'even'}", "label": "yn"[n % 2]} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names: dict[str, object] = {"__name__": "page"}
    ran = 0
    for kind, caption, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        text = shorter(text)
        if kind == "toml":
            (tmp_path / caption).write_text(text)
        elif kind == "python":
            exec(compile(text, str(page), "exec"), names)
        else:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    assert words[0] == "lmkit", line
                    done = forked.run(words[1:], folder=tmp_path, environment=os.environ, text=None)
                    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran


def test_every_command_has_a_line() -> None:
    import typer.main

    from lmkit.cli.app import _app

    told = set(re.findall(r"`lmkit ([a-z]+)", (DOCS / "commands.md").read_text()))
    assert told == set(typer.main.get_command(_app()).commands)


def test_every_page_is_reached_from_the_first() -> None:
    listed = set(re.findall(r"^([a-z/-]+)$", (DOCS / "index.md").read_text(), re.M))
    assert listed == {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}


def test_every_task_has_a_row() -> None:
    from lmkit.registry import default_registry

    text = (DOCS / "howto" / "tasks.md").read_text()
    told = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.M))
    assert told == {c.name for c in default_registry().components() if c.kind == "task"} - {"minimal-pairs"}
