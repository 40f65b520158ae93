"""What `lmkit plugins new` writes installs, passes the kit, and is as clean as lmkit itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lmkit
from lmkit.registry import INTERFACES
from lmkit.run.package import new_package

MISTAKES = [
    # Who edits the new package forgets that sequences lie end to end,
    (
        "encoder",
        "attention_bias(inputs, compute_dtype(hidden))",
        "attention_bias(inputs, compute_dtype(hidden)).clamp(min=0)",
        {"packed_is_as_alone", "packed_sequences_do_not_see_each_other", "causal_means_causal"},
    ),
    # draws from a generator that nobody seeded,
    (
        "objective",
        "example.rng().choice(",
        "np.random.default_rng().choice(",
        {"collate_is_pure", "resume_is_exact", "workers_make_the_same_batches"},
    ),
    # divides the loss,
    (
        "objective",
        "batch.weights, config)}",
        "batch.weights, config) / batch.tokens}",
        {"losses_add_up", "counts_are_predictions", "gradient_does_not_depend_on_the_split"},
    ),
    # leaves what is to be predicted where it stood,
    ("objective", "tokens[chosen] = self._mask", "pass", {"random_tokens_cannot_be_predicted"}),
    # normalizes to what is not the text,
    ("tokenizer", "normalizers.Lowercase()", "normalizers.Replace('e', 'ee')", {"plain_text_comes_back"}),
    # sorts the rows.
    (
        "task",
        "return answer(rows,",
        "return answer(sorted(rows, key=len),",
        {"rows_are_read_as_needed", "bad_rows_are_told_in_their_place"},
    ),
]
"""What an author gets wrong: the kind, what the new package says, what is said instead, the checks that fail."""


def python(*arguments: str, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=cwd
    )


def installed(folder: Path) -> None:
    """What pip leaves of an editable installation, without pip."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    information = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    [(group, points)] = project["entry-points"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (information / "entry_points.txt").write_text(f"[{group}]\n{lines}")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "encoder")) for kind in INTERFACES]
)
def test_a_new_package_passes_the_kit_at_once(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "new"
    files = new_package(kind, f"my-{kind}", folder)
    assert all(file.exists() for file in files)
    installed(folder)
    done = python("-m", "lmkit", "plugins", "check", f"lmkit-my-{kind}", "--json", "--quiet", path=folder, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert report["passed"], report
    assert report["ran"] > 8


@pytest.mark.slow
def test_new_packages_are_linted_formatted_typed_and_have_tests_that_run(tmp_path: Path) -> None:
    for kind in INTERFACES:
        new_package(kind, f"my-{kind}", tmp_path / kind)
        installed(tmp_path / kind)
    settings = Path(__file__).parents[2] / "pyproject.toml"
    everywhere = Path(os.pathsep.join(str(tmp_path / kind) for kind in INTERFACES))
    for tool in (["check", "--ignore", "I001"], ["format", "--check"]):  # imports are sorted by who is at home here
        done = python("-m", "ruff", *tool, "--no-cache", "--config", str(settings), ".", path=everywhere, cwd=tmp_path)
        assert done.returncode == 0, done.stdout
    modules = [argument for kind in INTERFACES for argument in ("-p", f"lmkit_my_{kind}")]
    quietly = ["--strict", "--cache-dir", os.devnull, "--follow-imports", "silent"]
    done = python("-m", "mypy", *quietly, *modules, path=everywhere, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    tests = tmp_path / "tokenizer" / "tests"
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), path=everywhere, cwd=tests.parent)
    assert done.returncode == 0, done.stdout


def found_by_the_kit(folder: Path) -> set[str]:
    """The checks that fail, by the command that its author would run."""
    kind = folder.name
    done = python("-m", "lmkit", "plugins", "check", f"my-{kind}", "--json", "--quiet", path=folder, cwd=folder.parent)
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert not report["passed"]
    results = [result for one in report["reports"] for result in one["results"]]
    failed = {result["name"]: result["reason"] for result in results if not result["passed"]}
    assert all(failed.values()), failed  # each says what was wanted, and what came
    return set(failed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "right", "wrong", "checks"), MISTAKES, ids=[mistake[0] + mistake[2] for mistake in MISTAKES]
)
def test_a_mistake_in_a_package_of_ones_own_is_found(
    tmp_path: Path, kind: str, right: str, wrong: str, checks: set[str]
) -> None:
    folder = tmp_path / kind
    new_package(kind, f"my-{kind}", folder)
    [file] = folder.glob(f"lmkit_*/my_{kind}.py")
    text = file.read_text()
    assert text.count(right) == 1
    file.write_text(text.replace(right, wrong))
    installed(folder)
    assert checks <= found_by_the_kit(folder)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("encoders", "mine", "expected tokenizer, encoder, objective or task, got 'encoders'"),
        ("encoder", "My Encoder", "expected a name of small letters"),
        ("encoder", "plugin", "expected a name of small letters"),
        ("objective", "mlm", 'objective "mlm" .lmkit-bert .* is installed already: choose another name'),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, kind: str, name: str, message: str) -> None:
    with pytest.raises(lmkit.ConfigError, match=message):
        new_package(kind, name, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(lmkit.ConfigError, match="exists already"):
        new_package("encoder", "mine", tmp_path / "there")
