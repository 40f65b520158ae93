"""What can be known of the benchmarks without an hour of a quiet machine: that they measure and report rightly."""

import importlib.util
import json
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from benchmarks import measure, report, vocabulary
from benchmarks.defects import finding, not_a_number, packing, resume, validation
from benchmarks.measure import Contender, Measurement
from benchmarks.rows import ROWS
from benchmarks.training import ours, peer_models, plain
from benchmarks.training.workloads import SMALL, WORKLOADS
from lmkit.interfaces import Vocabulary
from lmkit.model import build_model
from lmkit.recipe import read_pretraining
from lmkit.registry import Registry

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "matrix_units": ["avx2"],
    "memory_gb": 8.0,
    "matrix_peak_flops": {"float32": 3.5e11},
    "load": [0.5, 0.4, 0.3],
    "versions": {"python": "3.11"},
}


def measured(contender: str, rate: float) -> Measurement:
    result = {"seconds": [1.0], "work": 100, "config": {}}
    return Measurement(contender=contender, rate=rate, peak_mb=50.0, result=result)


def test_a_ratio_is_of_medians_against_each_peer() -> None:
    rates = {"lmkit": (50, 60, 900), "trainer": (10, 12, 14), "lmkit-eager": (40,), "trainer-best": (30,)}
    markdown = report.page(
        "row", "About.", "tokens", [measured(n, r) for n, values in rates.items() for r in values], MACHINE
    )
    lines = {line.split(" | ")[0].strip("| "): line for line in markdown.splitlines() if line.startswith("| ")}
    assert lines["lmkit"] == "| lmkit | 60 | 50 | 900 | 1,667 | 50 | 5.0x | 2.0x |"
    assert lines["trainer"] == "| trainer | 12 | 10 | 14 | 8,333 | 50 |  |  |"
    assert lines["lmkit-eager"].endswith("| 3.3x | 1.3x |")


def test_a_report_is_a_page_and_all_its_figures(tmp_path: Path) -> None:
    measurements = [measured("lmkit", 10.0)]
    page = report.write("row", "text", report.figures(measurements, MACHINE), tmp_path)
    assert page.name.endswith("-row.md")
    assert page.read_text() == "text"
    figures = json.loads(page.with_suffix(".json").read_text())
    assert figures["measurements"][0]["rate"] == 10.0
    assert figures["machine"] == MACHINE


def test_contenders_take_turns_and_every_other_turn_runs_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "measure", lambda contender: measured(contender.name, 1.0))
    sides = [Contender(name=name, arguments=()) for name in ("lmkit", "trainer")]
    order = [m.contender for m in measure.alternate(sides, 3, "tokens")]
    assert order == ["lmkit", "trainer", "trainer", "lmkit", "lmkit", "trainer"]


def test_a_measurement_is_the_median_step_and_the_peak_memory_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "contender.py").write_text(
        "import json, sys\n"
        "print('noise', file=sys.stderr)\n"
        "held = bytearray(80 * 2**20)\n"
        "print('told on the way')\n"
        "print(json.dumps({'seconds': [2.0, 1.0, 8.0], 'work': 100}))\n"
    )
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    found = measure.measure(Contender(name="it", arguments=("contender",)))
    assert found.rate == 50
    assert found.peak_mb > 80  # at least: Linux counts what the parent held before the child was started


def test_a_contender_that_fails_ends_the_row_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "contender.py").write_text("raise SystemExit('no text here')\n")
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match=r"-m contender ended with 1:\nno text here"):
        measure.measure(Contender(name="it", arguments=("contender",)))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("row", WORKLOADS)
def test_the_recipes_of_the_training_rows_are_valid(
    row: str, compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMKIT_DATA", str(tmp_path))
    (tmp_path / "run.toml").write_text(ours.recipe(WORKLOADS[row], steps=40, compiled=compiled))
    assert read_pretraining(tmp_path / "run.toml").train.steps == 40


@pytest.mark.parametrize("row", [pytest.param(row, marks=[pytest.mark.slow] * ("12x768" in row)) for row in WORKLOADS])
def test_the_peer_of_a_row_has_as_many_parameters(row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKIT_DATA", str(tmp_path))
    workload = WORKLOADS[row]
    (tmp_path / "run.toml").write_text(ours.recipe(workload, steps=40, compiled=False))
    chosen = read_pretraining(tmp_path / "run.toml").encoder
    special = {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4, "eos": 5, "mark_0": 6}
    vocabulary = Vocabulary(
        size=workload.shape.vocabulary, special=special, word_starts=np.ones(workload.shape.vocabulary, bool)
    )
    objective = Registry().find("objective", workload.objective).load()
    made = objective(objective.Config(), vocabulary)
    model = build_model(
        chosen.component.load(), chosen.config, made, vocabulary, seed=1, longest=workload.shape.block_tokens
    )
    theirs = peer_models.build_model(workload.encoder, workload.shape, dropout=0.0).num_parameters()
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(
        theirs, rel=0.05
    )  # ours have room for longer texts


def test_the_peer_denoises_spans_as_t5_does() -> None:
    tokens = np.arange(1, 129)
    batch = peer_models.SpanCollator(SMALL.vocabulary)([{"input_ids": tokens.tolist()}] * 3)
    for read, said in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
        assert len(read) + len(said) == 128 + 2 * 6 + 2  # six marks stand in both, and each ends
        assert (read[-1], said[-1]) == (0, 0)
        parts = {mark: [] for mark in said if mark > 128}
        for token in said[:-1]:
            parts[mark := token] if token > 128 else parts[mark].append(token)
        whole = [token for one in read[:-1] for token in parts.get(one, [one])]
        assert whole == tokens.tolist()


def test_the_plain_loop_masks_as_bert_does() -> None:
    tokens = torch.arange(200_000) % 8192
    read, wanted = plain.masked(tokens, 8192)
    chosen = wanted >= 0
    assert bool((wanted[chosen] == tokens[chosen]).all())
    assert bool((read[~chosen] == tokens[~chosen]).all())
    assert not bool(chosen[tokens < 5].any())  # special tokens
    assert float(chosen.float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float((read[chosen] == 4).float().mean()) == pytest.approx(0.8, abs=0.02)
    assert float((read[chosen] == tokens[chosen]).float().mean()) == pytest.approx(0.1, abs=0.02)


def test_a_share_of_the_matrix_peak_is_of_what_a_side_does() -> None:
    one = attrs.evolve(measured("lmkit", 1000.0), result={"work": 100, "flops": 7e7, "config": {}})
    line = report.page("row", "About.", "tokens", [one, measured("trainer", 10.0)], MACHINE).splitlines()[6]
    assert line == "| lmkit | 1,000 | 1,000 | 1,000 | 100 | 20% | 50 | 100.0x |"


def test_every_side_of_a_row_is_a_module_that_is_there() -> None:
    for row in ROWS.values():
        names = [one.name for one in row.contenders]
        assert len(set(names)) == len(names)
        for one in row.contenders:
            assert importlib.util.find_spec(one.arguments[0]) is not None


def test_findings_say_what_decides_them() -> None:
    assert finding.relative_difference(1.0, 4.0) == 0.75
    assert packing.told({"a": 0.0, "b": 1e-6}).holds
    assert packing.told({"a": 0.0, "b": 0.5}).figures == "1 of 2 cases leak; most, b: states move by 0.5"
    assert not validation.told({1: 5.78, 60: 5.71}).holds
    assert validation.told({1: 5.78, 60: 5.78}).holds
    halted = resume.told({case: (7, True) if case[0] == "clm" else (0, False) for case in resume.CASES})
    assert halted.figures == "mlm: 0 of 28 steps and 0 of 4 models equal; clm: 28 of 28 steps and 4 of 4 models equal"
    assert not halted.holds
    assert resume.told(dict.fromkeys(resume.CASES, (7, True))).holds


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_trainer_still_hides_a_loss_that_is_not_a_number() -> None:
    assert not not_a_number.trainer().holds


def test_words_put_in_at_random_are_those_that_lack() -> None:
    asked = [vocabulary.Asked(("bow", "cowl"), "A friar in a cowl drew his bow.")]
    [[text]] = vocabulary.inserted([["The bow was old."]], asked, np.random.default_rng(1))
    assert sorted(text.split()) == sorted(["The", "bow", "was", "old.", "cowl"])
    assert text.endswith("old.")
    assert not vocabulary.has("bow", "The rainbow bowl")


def test_a_table_of_ways_has_shares_and_perplexity() -> None:
    one = {"words_covered": 0.25, "sentences_covered": 0.0, "distinct": 1.0, "perplexity": 1234.4}
    assert vocabulary.table({"sampled": one}).splitlines()[-1] == "| sampled | 25% | 0% | 100% | 1,234 |"
