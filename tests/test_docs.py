"""The documents tell the truth: their code runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import typer.main

from lmkit import hookspecs
from lmkit.cli.app import _app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    path
    for path in sorted(
        [*ROOT.glob("*.md"), *ROOT.glob("lmkit/**/*.md"), ROOT / "plugins/README.md", *ROOT.glob("plugins/*/README.md")]
    )
    if path.name != "robin_hood.md"
]


def _blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_readmes_code_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    blocks = _blocks(ROOT / "README.md")
    assert len(blocks) == 3
    (tmp_path / "lmkit").symlink_to(ROOT / "lmkit")
    monkeypatch.chdir(tmp_path)
    shorter = {'"minutes": 1': '"steps": 3', '"epochs": 1': '"steps": 2'}
    for block in blocks:
        code = block
        for long, short in shorter.items():
            code = code.replace(long, short)
        names: dict[str, object] = {"__name__": "readme"}
        exec(compile(code, "README.md", "exec"), names)
        if "hidden" in names:
            assert names["hidden"].shape == (1, len(names["ids"]) + 2, 128)
            assert names["pooled"].shape == (1, 128)
        if "test_bert_conforms" in names:
            [mark] = names["test_bert_conforms"].pytestmark
            assert len(mark.args[1]) > 10
    assert "Robin drew his" in capsys.readouterr().out


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_the_documents_exist(path):
    group = typer.main.get_command(_app())
    known = set(group.commands)
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"^    lmkit ([a-z]+)", text, re.MULTILINE)) | set(re.findall(r"`lmkit ([a-z]+)", text))
    assert named <= known, f"{path.name} names commands that do not exist: {sorted(named - known)}"
    if path == ROOT / "README.md":
        assert {"init", "check", "pretrain", "resume", "evaluate", "predict"} <= named


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_in_the_documents_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^    make ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)) <= targets


def test_every_hook_is_documented_with_what_it_returns():
    import inspect

    from lmkit import hookspecs

    hooks = {name: value for name, value in vars(hookspecs).items() if name.startswith("lmkit_")}
    assert len(hooks) == 6
    for name, hook in hooks.items():
        assert "{name:" in inspect.getdoc(hook), name


def test_the_hooks_are_documented_with_their_arguments():
    text = (ROOT / "plugins/README.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(lmkit_[a-z]+)\((.*?)\)` \|", text, re.MULTILINE))
    hooks = {name: hook for name, hook in vars(hookspecs).items() if hasattr(hook, "lmkit_spec")}
    assert len(hooks) == 6
    assert documented == {name: ", ".join(inspect.signature(hook).parameters) for name, hook in hooks.items()}


def test_every_distribution_is_in_the_tables():
    for path in (ROOT / "README.md", ROOT / "plugins/README.md"):
        text = path.read_text(encoding="utf-8")
        for folder in ROOT.glob("plugins/lmkit-*"):
            assert f"[{folder.name}](" in text, f"{path.name} does not name {folder.name}"
