"""`lmkit init`: files that are read back as they are, for every objective and task that is installed."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkit.lora import Lora
from lmkit.recipe import read_finetuning, read_pretraining
from lmkit.registry import default_registry
from lmkit.run.starter import starter

Lmkit = Callable[..., subprocess.CompletedProcess[str]]


def names(kind: str) -> list[str]:
    found = [component.use for component in default_registry().components() if component.kind == kind]
    assert found
    return found


@pytest.mark.parametrize("name", names("objective"))
def test_every_objective_has_a_file_that_is_a_whole_recipe(name: str) -> None:
    text = starter(name)
    recipe = read_pretraining(tomllib.loads(text))
    assert recipe.objective.component.use == name
    objective, encoder = recipe.objective.component.load(), recipe.encoder.component.load()
    assert objective.attention in encoder.attention
    assert recipe.objective.config == objective.Config()
    assert "block_tokens = 128" in text
    assert "# Tokens of a block: the longest sequence that is seen in training." in text


@pytest.mark.parametrize("name", names("task"))
def test_every_task_has_a_file_that_is_a_whole_recipe(name: str) -> None:
    text = starter(name)
    recipe = read_finetuning(tomllib.loads(text))
    assert recipe.task.component.use == name
    assert "One of muon, adamw." in text
    before, lora = text.split("# [lora]\n")
    table = "\n".join(line.removeprefix("# ") for line in lora.splitlines())
    adapted = read_finetuning(tomllib.loads(f"{before}[lora]\n{table}"))
    assert adapted.lora == Lora()


def test_a_file_is_written_once_and_never_over_another(lmkit: Lmkit, tmp_path: Path) -> None:
    name = names("objective")[0]
    done = lmkit("init", name, "-o", "run.toml")
    assert done.stdout == "wrote run.toml. Say in its [data] what to read, then: lmkit check run.toml\n"
    text = (tmp_path / "run.toml").read_text()
    assert text == lmkit("init", name).stdout
    assert lmkit("init", name, "-o", "run.toml", status=2).stderr == (
        "error: run.toml: 1 problem\n  exists already, and init never overwrites. Name another file\n"
    )
    assert (tmp_path / "run.toml").read_text() == text


def test_a_task_says_what_to_type_next(lmkit: Lmkit) -> None:
    done = lmkit("init", names("task")[0], "-o", "task.toml", "--json")
    assert json.loads(done.stdout)["file"] == "task.toml"
    last = lmkit("init", names("task")[0], "-o", "other.toml").stdout
    assert last.endswith("then: lmkit finetune DIR other.toml --run DIR2\n")


def test_an_unknown_name_lists_what_is_installed(lmkit: Lmkit) -> None:
    objectives, tasks = (", ".join(sorted(names(kind))) for kind in ("objective", "task"))
    near = sorted(names("task"))[0]
    assert lmkit("init", near[:-1], status=2).stderr == (
        f'error: no objective or task is named "{near[:-1]}". Objectives: {objectives}; tasks: {tasks}. '
        f'Did you mean "{near}"?\n'
    )


@pytest.mark.parametrize(
    ("size", "layers", "width"),
    [("tiny", 2, 128), ("base", 12, 768), ("3M", 4, 256), ("85M", 12, 768), ("1B", 27, 1728)],
)
def test_one_dial_sets_the_shape(size: str, layers: int, width: int) -> None:
    recipe = read_pretraining(tomllib.loads(starter("clm", size=size)))
    assert (recipe.encoder.config.layers, recipe.encoder.config.width) == (layers, width)
    assert recipe.train.batch_tokens % recipe.train.block_tokens == 0


def test_a_size_that_is_none_is_told(lmkit: Lmkit) -> None:
    said = lmkit("init", "clm", "--size", "smal", status=2).stderr
    assert "expected tiny, mini, small, base or parameters such as 30M, got 'smal'. Did you mean \"small\"?" in said


def test_without_a_name_all_are_listed(lmkit: Lmkit) -> None:
    said = lmkit("init").stdout.splitlines()
    kinds = said.index("objectives:"), said.index("tasks:")
    listed = [[line.split()[0] for line in part] for part in (said[kinds[0] + 1 : kinds[1]], said[kinds[1] + 1 : -1])]
    assert listed == [sorted(names("objective")), sorted(names("task"))]
    assert all(len(line.split()) >= 2 for line in said if line.startswith("  "))
    assert said[-1] == "Next, with one of these names: lmkit init NAME -o FILE.toml"
    assert sorted(json.loads(lmkit("init", "--json").stdout)["tasks"]) == sorted(names("task"))
    refused = lmkit("init", "-o", "run.toml", status=2).stderr
    assert refused == "error: init: 1 problem\n  name what to learn, such as one that `lmkit init` alone lists\n"
