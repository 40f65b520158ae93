"""The rows that `python -m benchmarks` measures: what each is about, and who takes part."""

import attrs

from benchmarks.measure import Contender
from benchmarks.training.workloads import WORKLOADS, Workload


@attrs.frozen(kw_only=True)
class Row:
    """Work of one kind, which every contender does."""

    about: str
    unit: str
    contenders: tuple[Contender, ...]


def side(name: str, module: str, *arguments: str) -> Contender:
    """A contender of a row."""
    return Contender(name=name, arguments=(f"benchmarks.{module}", *arguments))


def _training(name: str, workload: Workload) -> Row:
    """lmkit as it comes and without a compiler; the Trainer as it comes and at its best; other loops at their best."""
    sides = [
        side("lmkit", "training.ours", name),
        side("trainer", "training.trainer", name),
        side("lmkit-eager", "training.ours", name, "--eager"),
        side("trainer-best", "training.trainer", name, "--best"),
    ]
    if workload.loops:
        sides.append(side("lightning-best", "training.lightning_loop", name, "--best"))
        sides.append(side("plain-best", "training.plain", name, "--best"))
    return Row(about=workload.about, unit="tokens", contenders=tuple(sides))


_REVIEWS = "BERT of 4 layers x 256 on film reviews' sentences of mixed lengths (sentiment_mr)"
_GPT2 = "GPT-2 of 4 layers x 256, vocabulary 8,192, greedy, 128 new tokens"

ROWS = {name: _training(name, workload) for name, workload in WORKLOADS.items()} | {
    "finetune": Row(
        about=f"Fine-tuning a {_REVIEWS}, some 2,048 tokens a step.",
        unit="rows",
        contenders=(
            side("lmkit", "answering.finetune_ours"),
            side("trainer", "answering.finetune_trainer"),
            side("trainer-best", "answering.finetune_trainer", "--best"),
        ),
    ),
    "predict": Row(
        about=f"Classes from a {_REVIEWS}; the pipeline reads one row at a time as it comes, 32 at its best.",
        unit="rows",
        contenders=(
            side("lmkit", "answering.predict_ours"),
            side("pipeline", "answering.predict_pipeline"),
            side("pipeline-best", "answering.predict_pipeline", "--best"),
        ),
    ),
    **{
        f"generate-{count}": Row(
            about=f"{_GPT2}, {count} prompt{'s' if count > 1 else ''} of 32 tokens at once.",
            unit="tokens",
            contenders=(
                side("lmkit", "answering.generate_ours", str(count)),
                side("generate", "answering.generate_transformers", str(count)),
                side("generate-best", "answering.generate_transformers", str(count), "--best"),
            ),
        )
        for count in (1, 16)
    },
    "blocks": Row(
        about="100 MB of books, repeated, to blocks of 128 tokens, by a BPE of 8,192; datasets.map with 2 processes.",
        unit="MB",
        contenders=(side("lmkit", "preparing.ours"), side("datasets", "preparing.by_datasets")),
    ),
    "resume": Row(
        about="From a checkpoint of step 3,000 to the end of the next step, loading and data included.",
        unit="resumes",
        contenders=(side("lmkit", "starting.resume_ours"), side("trainer", "starting.resume_trainer")),
    ),
    "start": Row(
        about="A new process until it ends: Python alone, with an import, or with a command's help.",
        unit="processes",
        contenders=(
            side("lmkit import", "starting.imports", "-c", "import lmkit"),
            side("lmkit --help", "starting.imports", "-m", "lmkit", "--help"),
            side("Python alone", "starting.imports", "-c", ""),
            side("import torch", "starting.imports", "-c", "import torch"),
            side("import Trainer", "starting.imports", "-c", "from transformers import Trainer"),
            side("import lightning", "starting.imports", "-c", "import lightning"),
            side("accelerate --help", "starting.imports", "-m", "accelerate.commands.accelerate_cli", "--help"),
        ),
    ),
}
