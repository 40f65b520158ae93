"""A machine dies while a checkpoint is written; the run is then resumed."""

import tempfile
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
