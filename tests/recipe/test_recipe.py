"""Recipes from files, tables and Python, with real tiny plugins; and back into a file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from lmkit.data.settings import Data, Source
from lmkit.engine.settings import Training
from lmkit.errors import ConfigError, UnknownComponentError
from lmkit.recipe import (
    Chosen,
    Finetuning,
    Pretraining,
    Saved,
    commented_toml,
    read_finetuning,
    read_pretraining,
    resolved_toml,
)
from lmkit.registry import default_registry


def source_of(toy: Any) -> str:
    """The text of the toy plugin, to offer the same names again."""
    return Path(toy.__file__).with_name("toy.py").read_text()


def test_a_run_toml_is_read_with_its_components_and_paths(toy: Any, run_toml: Path) -> None:
    recipe = read_pretraining(run_toml)
    registry = default_registry()
    project = run_toml.parent
    assert recipe == Pretraining(
        seed=7,
        tokenizer=Chosen(registry.find("tokenizer", "letters"), toy.LettersConfig()),
        data=Data(train=[project / "books/train/**/*.md", Source(path="/elsewhere/web", weight=2.0)], validation=0.01),
        encoder=Chosen(registry.find("encoder", "mixer"), toy.MixerConfig(layers=3, words=project / "words.txt")),
        objective=Chosen(registry.find("objective", "guess"), toy.GuessConfig()),
        train=Training(tokens="10M"),
    )


def test_a_resolved_recipe_is_read_back_equal_from_any_folder(toy: Any, run_toml: Path, tmp_path: Path) -> None:
    recipe = read_pretraining(run_toml, overrides=["checkpoint.keep=5", "encoder.layers=1"])
    config = tmp_path / "runs" / "first" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(resolved_toml(recipe))
    assert read_pretraining(config, recorded=True) == recipe
    assert tomllib.loads(config.read_text())["encoder"]["layers"] == 1
    assert tomllib.loads(config.read_text())["objective"] == {"use": "guess", "rate": 0.3}
    assert list(tomllib.loads(config.read_text())) == [field.name for field in attrs.fields(Pretraining)]


def test_a_recipe_from_python_is_that_of_its_file(toy: Any, run_toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_toml.parent)
    built = Pretraining(
        seed=7,
        tokenizer=toy.LettersConfig(),
        data=Data(train=["books/train/**/*.md", Source(path="/elsewhere/web", weight=2.0)], validation=0.01),
        encoder=toy.MixerConfig(layers=3, words=Path("words.txt")),
        objective=toy.GuessConfig(),
        train=Training(tokens="10M"),
    )
    assert read_pretraining(built) == read_pretraining(run_toml)
    assert read_pretraining(built, overrides=["train.tokens=20M"]).train.tokens == "20M"


def test_values_from_python_meet_the_same_checks(toy: Any) -> None:
    built = Pretraining(
        tokenizer=toy.LettersConfig(vocab_size="many"),
        data=Data(train=["books"]),
        encoder=toy.MixerConfig(),
        objective=toy.GuessConfig(),
        train=Training(steps=10),
    )
    with pytest.raises(ConfigError) as caught:
        read_pretraining(built)
    assert str(caught.value) == "Pretraining: 1 problem\n  tokenizer.vocab_size: expected int, got str 'many'"
    with pytest.raises(UnknownComponentError, match=r"^no encoder has the Config toy_parts\.GuessConfig\. Installed: "):
        Pretraining(**{**attrs.asdict(built, recurse=False), "encoder": toy.GuessConfig()})


def test_a_component_of_no_plugin_can_be_chosen_by_hand(toy: Any) -> None:
    stranger = attrs.evolve(default_registry().find("encoder", "mixer"), distribution="notebook", use="stranger")
    built = Pretraining(
        tokenizer=toy.LettersConfig(),
        data=Data(train=["books"]),
        encoder=Chosen(stranger, toy.MixerConfig()),
        objective=toy.GuessConfig(),
        train=Training(steps=10),
    )
    assert read_pretraining(built, overrides=["encoder.layers=9"]).encoder == Chosen(
        stranger, toy.MixerConfig(layers=9)
    )


def test_all_mistakes_of_a_file_are_told_at_once(toy: Any, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        """
seed = -1
sed = 1
[tokenizer]
vocab_size = 100
[data]
train = "books"
[encoder]
use = "mixer"
layers = "twelve"
layerz = 3
[objective]
use = "gues"
[train]
steps = 10
clip = "none"
[task]
use = "echo"
"""
    )
    with pytest.raises(ConfigError) as caught:
        read_pretraining(file)
    assert str(caught.value) == (
        f"{file}: 9 problems\n"
        "  seed: 'seed' must be >= 0: -1\n"
        '  sed: unknown key. Did you mean "seed"?\n'
        "  task: not in a pre-training file: it goes into a file of its own, for finetune\n"
        "  tokenizer.use: required, str\n"
        "  data.train: expected list of path or table, got str 'books'\n"
        "  encoder.layers: expected int, got str 'twelve'\n"
        '  encoder.layerz: unknown key for encoder "mixer" (toy 1.0). Did you mean "layers"?\n'
        '  objective.use: no objective named "gues". Installed: guess (toy 1.0). Did you mean "guess"?\n'
        "  train.clip: expected float, got str 'none'"
    )


def test_missing_tables_are_told(toy: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        read_pretraining({"encoder": "mixer", "objective": {"use": 3}})
    assert str(caught.value) == (
        "config: 5 problems\n"
        '  tokenizer: required, a table with use = "..."\n'
        "  data.train: required, list of path or table\n"
        "  encoder: expected a table with use = \"...\", got str 'mixer'\n"
        "  objective.use: expected str, got int 3\n"
        "  train: wanted exactly one budget of steps, tokens, epochs and minutes, got none of them"
    )


def test_a_tokenizer_may_be_loaded_from_a_folder(toy: Any, run_toml: Path) -> None:
    recipe = read_pretraining(run_toml, overrides=["tokenizer.folder=../tokenizer"])
    assert recipe.tokenizer == Saved(
        default_registry().find("tokenizer", "letters"), Path.cwd().parent / "tokenizer"
    ), "what is typed is relative to where it is typed"
    assert read_pretraining(tomllib.loads(resolved_toml(recipe))) == recipe
    with pytest.raises(ConfigError) as caught:
        read_pretraining(run_toml, overrides=["tokenizer.folder=3", "tokenizer.vocab_size=9"])
    assert caught.value.problems == (
        "tokenizer.vocab_size: not beside folder, which holds a tokenizer that is trained",
        "tokenizer.folder: expected path, got int 3",
    )


def test_a_task_file_is_read(toy: Any, tmp_path: Path) -> None:
    tables = {"task": {"use": "echo", "column": "text"}, "data": {"train": ["rows.jsonl"]}, "train": {"epochs": 3}}
    recipe = read_finetuning(tables)
    assert recipe == Finetuning(
        task=toy.EchoConfig(column="text"), data=Data(train=[Path.cwd() / "rows.jsonl"]), train=Training(epochs=3.0)
    )
    assert read_finetuning(tomllib.loads(resolved_toml(recipe))) == recipe
    with pytest.raises(ConfigError) as caught:
        read_finetuning({**tables, "task": {"use": "echo"}, "encoder": {"use": "mixer"}})
    assert caught.value.problems == (
        "encoder: not in a task's file: it comes from the run that fine-tuning starts from",
        'task.column: required, str for task "echo" (toy 1.0)',
    )


def test_a_broken_component_is_told_with_its_table(
    toy: Any, distribution: Callable[..., Path], tables: dict[str, Any]
) -> None:
    distribution("odd", "2.0", source_of(toy).replace("toy_parts", "odd_parts").replace("mixer", "odd"))
    default_registry.cache_clear()
    with pytest.raises(ConfigError) as caught:
        read_pretraining({**tables, "encoder": {"use": "odd"}})
    assert caught.value.problems == (
        (
            'tokenizer.use: 2 plugins offer tokenizer "letters": odd 2.0 and toy 1.0. Write "odd:letters" or '
            '"toy:letters", or disable one with LMKIT_PLUGINS_DISABLE=odd'
        ),
        (
            'encoder.use: encoder "odd" (odd 2.0) at odd_parts:Mixer cannot be imported: '
            "ModuleNotFoundError: No module named 'odd_parts'"
        ),
        (
            'objective.use: 2 plugins offer objective "guess": odd 2.0 and toy 1.0. Write "odd:guess" or '
            '"toy:guess", or disable one with LMKIT_PLUGINS_DISABLE=odd'
        ),
    )


def test_a_name_in_conflict_is_written_with_its_distribution(
    toy: Any, distribution: Callable[..., Path], tables: dict[str, Any]
) -> None:
    distribution("odd", "2.0", source_of(toy).replace("toy_parts:M", "odd_parts:M"))
    default_registry.cache_clear()
    names = ("tokenizer", "encoder", "objective")
    qualified = {name: {"use": f"toy:{tables[name]['use']}"} for name in names}
    recipe = read_pretraining({**tables, **qualified})
    assert tomllib.loads(resolved_toml(recipe))["encoder"]["use"] == "toy:mixer"
    assert read_pretraining(tomllib.loads(resolved_toml(recipe))) == recipe


def test_a_commented_file_is_read_back_equal(toy: Any, run_toml: Path) -> None:
    recipe = read_pretraining(run_toml)
    text = commented_toml(recipe)
    assert "layers = 3                              # Blocks.\n" in text
    run_toml.write_text(text)
    assert read_pretraining(run_toml) == recipe
    saved = read_pretraining(run_toml, overrides=["tokenizer={use='letters', folder='t'}"])
    assert read_pretraining(tomllib.loads(commented_toml(saved))) == saved
