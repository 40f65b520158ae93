"""The loss of a validation set is a property of the set, not of the batches that it is read in."""

import tempfile
from pathlib import Path

from benchmarks.defects.finding import Finding, relative_difference

CLAIM = "validation loss is the same whatever the batch size"


def told(losses: dict[int, float]) -> Finding:
    """A Finding from batch size -> loss."""
    spread = relative_difference(min(losses.values()), max(losses.values()))
    listed = ", ".join(f"{rows}: {loss:.6f}" for rows, loss in losses.items())
    return Finding(
        holds=spread <= 1e-6,
        figures=f"rows of a batch and loss: {listed}; spread {spread:.1e}",
        details={str(rows): loss for rows, loss in losses.items()},
    )


def trainer() -> Finding:
    import torch
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    from benchmarks.defects import peer

    torch.manual_seed(0)
    model = ModernBertForMaskedLM(ModernBertConfig(**peer.TINY, pad_token_id=0, initializer_range=0.3))
    losses = {}
    for rows in (1, 4, 16, 60):
        with tempfile.TemporaryDirectory() as folder:
            run = peer.trainer(
                model,
                Path(folder),
                data=peer.masked_blocks(60, rate=None),
                objective=None,
                per_device_eval_batch_size=rows,
            )
            losses[rows] = float(run.evaluate()["eval_loss"])
    return told(losses)


def lmkit() -> Finding:
    from benchmarks.defects import ours

    losses = {}
    for rows in (1, 4, 16, 32):
        with tempfile.TemporaryDirectory() as name:
            micro = rows * ours.BLOCK_TOKENS
            recipe = ours.tables("mlm", ours.text(Path(name)), steps=1, learning_rate=0.0, micro_batch_tokens=micro)
            run = ours.train(Path(name), recipe)
            losses[rows] = ours.events(run.folder, "evaluated")[-1]["loss"]
    return told(losses)
