"""A machine dies while a checkpoint is written; the run is then resumed."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.defects.finding import Finding

CLAIM = "a checkpoint that was not written to its end is never chosen"


def cut(file: Path) -> None:
    """Leave the first half of a file, as a write that was interrupted does."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def trainer() -> Finding:
    """The newest checkpoint has the mark that the Trainer itself leaves while it writes, and half of the weights."""
    from transformers.trainer_utils import get_last_checkpoint

    from benchmarks.defects import peer

    with tempfile.TemporaryDirectory() as folder:
        arguments = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "per_device_train_batch_size": 8}
        run = peer.trainer(peer.model("clm"), Path(folder), data=peer.blocks(), objective="clm", **arguments)
        run.train()
        newest = Path(folder, "checkpoint-4")
        (newest / "checkpoint-is-incomplete.txt").write_text("Checkpoint started at step 4 and in progress...")
        cut(newest / "model.safetensors")
        chosen = Path(get_last_checkpoint(folder)).name
        run = peer.trainer(peer.model("clm"), Path(folder), data=peer.blocks(), objective="clm", **arguments)
        try:
            run.train(resume_from_checkpoint=True)
            outcome = "resumed from it"
        except Exception as error:  # whatever it raises is the finding
            outcome = f"{type(error).__name__}: {error}"
    return Finding(
        holds=chosen != newest.name,
        figures=f"chose {chosen}, which is marked incomplete; checkpoint-2 is whole; then {outcome}",
        details={"chosen": chosen, "outcome": outcome},
    )


def lmkit() -> Finding:
    """Three ways in which the newest checkpoint can be broken: a file cut, a file missing, no manifest yet."""
    from benchmarks.defects import ours
    from lmkit import load

    breaks: dict[str, Callable[[Path], None]] = {
        "weights cut": lambda folder: cut(folder / "model.safetensors"),
        "state missing": lambda folder: (folder / "state.json").unlink(),
        "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    }
    chosen = {}
    for case, damage in breaks.items():
        with tempfile.TemporaryDirectory() as name:
            recipe = ours.tables("clm", ours.text(Path(name)), steps=4) | {"checkpoint": {"every_steps": 2, "keep": 10}}
            run = ours.train(Path(name), recipe)
            damage(max(run.folder.glob("checkpoints/step-*")))
            chosen[case] = load(run.folder).step
    return Finding(
        holds=set(chosen.values()) == {2},
        figures="step 4 broken, step 2 whole; "
        + ", ".join(f"{case}: took step {step}" for case, step in chosen.items()),
        details=chosen,
    )
