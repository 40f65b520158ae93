"""Pre-training: text in, a run out, through plugin, engine and checkpoint."""

from __future__ import annotations

import json
import tomllib

import pytest
import torch
from safetensors.torch import load_file

import lmkit
from lmkit.checkpoint import of_step
from lmkit.engine.device import can_compile
from lmkit.engine.events import Stepped
from lmkit.recipe import read_pretraining
from tests.run.recipes import metrics, recipe


@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_a_run_learns_and_leaves_what_the_surface_says(trained, kind):
    run = trained[kind]
    steps = metrics(run.folder, "step")
    assert len(steps) == 30
    assert sum(s["loss"] for s in steps[-3:]) < 0.95 * sum(s["loss"] for s in steps[:3])
    assert set(steps[0]) == {
        "event",
        "step",
        "tokens",
        "seconds",
        "loss",
        "terms",
        "grad_norm",
        "learning_rate",
        "tokens_per_second",
        "model_flops_utilization",
    }
    assert (run.folder / "config.toml").is_file()
    newest = sorted((run.folder / "checkpoints").iterdir())[-1]
    assert newest.name == "step-00000030"
    assert {p.name for p in newest.iterdir()} == {
        "manifest.json",
        "state.json",
        "model.safetensors",
        "optimizer.safetensors",
        "tokenizer",
    }
    manifest = json.loads((newest / "manifest.json").read_text())
    assert [c["kind"] for c in manifest["components"]] == ["tokenizer", "encoder", "objective"]
    assert run.step == 30


def test_the_written_config_trains_the_same_model(tmp_path, book):
    first = lmkit.pretrain(recipe("mlm", book, steps=4), run=tmp_path / "first", quiet=True)
    again = lmkit.pretrain(first.folder / "config.toml", run=tmp_path / "again", quiet=True)
    for name, weight in first.module.state_dict().items():
        assert torch.equal(weight, again.module.state_dict()[name]), name


def test_observers_see_every_event_and_cannot_stop_training(tmp_path, book, capsys):
    seen = []

    def broken(event):
        seen.append(event)
        raise RuntimeError("no")

    lmkit.pretrain(recipe("clm", book, steps=3), run=tmp_path / "run", observers=[broken], quiet=True)
    assert [e.step for e in seen if isinstance(e, Stepped)] == [1, 2, 3]
    assert capsys.readouterr().err.count("RuntimeError") == 1


def test_a_folder_that_is_taken_is_refused(tmp_path, book):
    lmkit.pretrain(recipe("clm", book, steps=1), run=tmp_path / "run", quiet=True)
    with pytest.raises(lmkit.RunError) as raised:
        lmkit.pretrain(recipe("clm", book, steps=1), run=tmp_path / "run", quiet=True)
    assert str(raised.value) == (
        f"{tmp_path / 'run'}: already there; go on with: lmkit resume {tmp_path / 'run'}, "
        "or give the new run another --run"
    )


def test_what_does_not_fit_is_told_before_data_is_read_and_leaves_nothing(tmp_path, book):
    with pytest.raises(lmkit.FitError) as raised:
        lmkit.pretrain(recipe("mlm", book, block_tokens=128), run=tmp_path / "run", quiet=True)
    assert str(raised.value) == (
        'encoder "bert" reads at most 64 tokens, but train.block_tokens is 128: '
        "lower it, or build the encoder with more positions"
    )
    bad = recipe("mlm", book)
    bad["data"]["train"] = [str(tmp_path / "absent.md")]
    with pytest.raises(lmkit.DataError, match=r"absent\.md"):
        lmkit.pretrain(bad, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_any_objective_on_any_encoder_that_can(tmp_path, book):
    crossed = recipe("mlm", book, steps=3) | {"encoder": recipe("clm", book)["encoder"]}
    assert lmkit.pretrain(crossed, run=tmp_path / "mlm-on-gpt2", quiet=True).fill("Robin drew his [MASK].")["masks"]
    crossed = recipe("clm", book, steps=3) | {"encoder": recipe("mlm", book)["encoder"]}
    run = lmkit.pretrain(crossed, run=tmp_path / "clm-on-bert", quiet=True)
    assert run.complete("Robin drew his", max_new_tokens=4)["tokens"] >= 1  # with no cache: it reads all again


def test_starting_from_another_run_keeps_its_tokenizer_and_weights(tmp_path, book, trained):
    table = recipe("mlm", book, steps=1, learning_rate=0.0, matrix_learning_rate=0.0)
    run = lmkit.pretrain(table, run=tmp_path / "run", start_from=trained["mlm"], quiet=True)
    for name, weight in trained["mlm"].module.state_dict().items():
        assert torch.equal(weight, run.module.state_dict()[name]), name
    assert sorted(p.name for p in (run.folder / "checkpoints").iterdir()) == ["step-00000000", "step-00000001"]


def test_python_configs_and_tables_are_the_same_recipe(tmp_path, book):
    read = read_pretraining(recipe("mlm", book))
    built = lmkit.Pretraining(
        tokenizer=read.tokenizer.config,
        data=read.data,
        encoder=read.encoder.config,
        objective=read.objective.config,
        train=read.train,
        checkpoint=read.checkpoint,
    )
    assert built == read


def test_averaged_weights_are_the_ones_that_answer(tmp_path, book):
    run = lmkit.pretrain(recipe("clm", book, steps=5, ema=0.9), run=tmp_path / "run", quiet=True)
    [newest] = [p for p in (run.folder / "checkpoints").iterdir() if p.name == "step-00000005"]
    averaged, raw = load_file(newest / "ema.safetensors"), load_file(newest / "model.safetensors")
    weight = run.module.state_dict()["encoder.token_embedding.weight"]
    assert torch.equal(weight, averaged["encoder.token_embedding.weight"])
    assert not torch.equal(weight, raw["encoder.token_embedding.weight"])


def test_the_run_keeps_the_users_own_file(tmp_path, book):
    text = f"""# mine
[tokenizer]
use = "bpe"
vocab_size = 400
[data]
train = ["{book.name}"]
document = "paragraph"
[encoder]
use = "gpt2"
layers = 1
width = 16
[objective]
use = "clm"
[train]
steps = 1
block_tokens = 32
batch_tokens = 256
"""
    path = book.parent / "mine.toml"
    path.write_text(text)
    run = lmkit.pretrain(path, run=tmp_path / "run", overrides=["encoder.layers=2"], quiet=True)
    assert (run.folder / "run.toml").read_text() == text
    written = tomllib.loads((run.folder / "config.toml").read_text())
    assert written["encoder"]["layers"] == 2
    assert written["data"]["train"] == [str(book)]


def test_activation_checkpointing_changes_no_number(tmp_path, book):
    plain = lmkit.pretrain(recipe("clm", book, steps=3), run=tmp_path / "plain", quiet=True)
    saving = lmkit.pretrain(
        recipe("clm", book, steps=3, activation_checkpointing=True), run=tmp_path / "saving", quiet=True
    )
    for name, weight in plain.module.state_dict().items():
        assert torch.equal(weight, saving.module.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.skipif(can_compile("cpu") is not None, reason=f"torch.compile cannot work here: {can_compile('cpu')}")
@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_compiled_losses_are_those_of_eager_to_rounding(tmp_path, book, kind):
    eager = lmkit.pretrain(recipe(kind, book, steps=4), run=tmp_path / "eager", quiet=True)
    compiled = lmkit.pretrain(recipe(kind, book, steps=4, compile="on"), run=tmp_path / "compiled", quiet=True)
    losses = [[s["loss"] for s in metrics(run.folder, "step")] for run in (eager, compiled)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_a_reporter_of_a_plugin_watches_the_run_and_a_broken_one_is_warned_about(tmp_path, book):
    plugin = tmp_path / "watching.py"
    plugin.write_text("""
from lmkit import hookimpl

class Lines:
    def __init__(self, folder):
        self.path = folder / "lines.txt"
    def __call__(self, event):
        with self.path.open("a") as file:
            file.write(type(event).__name__ + "\\n")

class Broken:
    def __init__(self, folder):
        raise OSError("no such service")

@hookimpl
def lmkit_reporters():
    return {"lines": f"{__name__}:Lines", "broken": f"{__name__}:Broken"}
""")
    table = recipe("clm", book, steps=2) | {"plugins": [str(plugin)]}
    with pytest.warns(UserWarning, match=r'reporter "broken".*does not watch this run: OSError: no such service'):
        run = lmkit.pretrain(table, run=tmp_path / "run", quiet=True)
    lines = (run.folder / "lines.txt").read_text().split()
    assert lines.count("Stepped") == 2
    assert lines[-1] == "Finished"


def test_two_phases_on_one_budget_end_as_a_masked_model_that_has_read_as_a_causal_one(tmp_path, book):
    """CLM first, then MLM from its weights: tokenizer and encoder go on, the head of another kind is new."""
    first = recipe("clm", book, steps=6)
    causal = lmkit.pretrain(first, run=tmp_path / "causal", quiet=True)
    second = {**recipe("clm", book, steps=6), "objective": {"use": "mlm"}}
    masked = lmkit.pretrain(second, run=tmp_path / "masked", start_from=causal, quiet=True)
    assert masked.head_kind == "token"
    assert masked.tokenizer.encode("Robin Hood").ids.tolist() == causal.tokenizer.encode("Robin Hood").ids.tolist()
    assert masked.fill("Robin drew his <|mask|>.")["masks"]
    alone = lmkit.pretrain(second, run=tmp_path / "alone", quiet=True)
    assert metrics(masked.folder, "step")[0]["loss"] != metrics(alone.folder, "step")[0]["loss"]
    started = of_step(tmp_path / "masked", 0).tensors("model")
    for name, weight in causal.module.encoder.state_dict().items():
        assert torch.equal(started[f"encoder.{name}"], weight), name


def test_a_reporter_that_wants_to_be_named_watches_only_where_it_is(tmp_path, book):
    quiet = recipe("clm", book, steps=2)
    lmkit.pretrain(quiet, run=tmp_path / "without", quiet=True)
    assert not (tmp_path / "without" / "steps.csv").exists()
    lmkit.pretrain({**quiet, "reporters": ["csv"]}, run=tmp_path / "with", quiet=True)
    assert (tmp_path / "with" / "steps.csv").read_text().startswith("step,tokens,seconds,loss,")
    with pytest.raises(lmkit.ConfigError, match=r'reporters: no reporter named "cvs".* Did you mean "csv"'):
        lmkit.pretrain({**quiet, "reporters": ["cvs"]}, run=tmp_path / "other", quiet=True)


def test_a_run_that_a_named_reporter_cannot_watch_leaves_nothing(tmp_path, book):
    broken = tmp_path / "broken.py"
    broken.write_text("""
from lmkit import hookimpl


class Watcher:
    only_where_named = True

    def __init__(self, folder):
        raise OSError("no such service")


@hookimpl
def lmkit_reporters():
    return {"service": f"{__name__}:Watcher"}
""")
    table = {**recipe("mlm", book, steps=1), "plugins": [str(broken)], "reporters": ["service"]}
    with pytest.raises(lmkit.PluginError, match="cannot watch this run: OSError: no such service"):
        lmkit.pretrain(table, run=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
