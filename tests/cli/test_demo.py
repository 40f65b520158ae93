"""`lmkit demo`: its recipes are whole, its folder is its own, and the story is told to the end."""

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import lmkit
from lmkit.recipe import read_finetuning, read_pretraining

Lmkit = Callable[..., subprocess.CompletedProcess[str]]

FOLDER = Path(lmkit.__file__).parent / "demo"
STORY = tomllib.loads((FOLDER / "story.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("chapter", STORY["chapters"], ids=lambda chapter: chapter["run"])
def test_every_recipe_is_whole_and_reads_what_lies_beside_it(chapter: dict[str, str]) -> None:
    reads = read_finetuning if "start" in chapter else read_pretraining
    recipe = reads(FOLDER / chapter["recipe"])
    assert [source.path.parent for source in recipe.data.sources] == [FOLDER]
    assert all(source.path.exists() for source in recipe.data.sources)


def test_shares_of_the_time_are_all_of_it() -> None:
    assert sum(chapter["share"] for chapter in STORY["chapters"]) == pytest.approx(1)


def test_a_folder_that_is_there_is_left_alone(lmkit: Lmkit, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = lmkit("demo", "--run", "mine", status=2)
    assert done.stderr == "error: mine: already there; give the demo another --run\n"
    assert done.stdout == ""
    assert not [*(tmp_path / "mine").iterdir()]


@pytest.mark.slow
def test_the_story_is_told_to_its_end_in_words_and_in_json(lmkit: Lmkit) -> None:
    told = lmkit("demo", "--minutes", "0.2", "--quiet")
    assert told.stderr == ""
    for number, chapter in enumerate(STORY["chapters"], 1):
        assert f"\n{number}. {chapter['heading']}\n" in told.stdout
    _, _, end = told.stdout.partition("\nDone in ")
    assert "The runs are in runs/demo. What to type next:\n  lmkit predict runs/demo/" in end

    found = json.loads(lmkit("demo", "--minutes", "0.2", "--json").stdout)
    names = [chapter["run"] for chapter in STORY["chapters"]]
    assert found["runs"] == {name: f"runs/demo-2/{name}" for name in names}  # the first is not touched
    for chapter in STORY["chapters"]:
        asked = [text for question in chapter["questions"] for text in question["texts"]]
        assert list(found["answers"][chapter["run"]]) == asked
    assert json.loads(lmkit("predict", found["runs"][names[0]], "A [MASK] bow.").stdout)["masks"]
