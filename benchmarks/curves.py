"""Time to loss: how long the Trainer takes to what lmkit's default recipe comes to, and the other way about.

    python -m benchmarks.curves CELLS.jsonl [--objective clm|mlm] [--only tune trainer trainer-best lmkit]

Both train 4 layers x 256 on books/train with the same tokenizer, and are scored on the same blocks of books/validation
by the mean loss of a prediction. The Trainer's learning rate is the best of RATES after TUNE minutes at its best
setting; then it trains for each of LONG minutes with it, as it comes and at its best, and lmkit for each of SHORT.
`benchmarks.times` makes a table and a plot of the cells.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from benchmarks.cells import make_cells, read_cells
from benchmarks.places import CACHE, DATA, can_compile
from benchmarks.training.workloads import SMALL
from lmkit.engine.device import computes_in_bf16

RATES = (0.0005, 0.001, 0.002, 0.004)
TUNE, LONG, SHORT = 3.0, (2.5, 5.0, 15.0), (0.5, 1.0, 2.0, 4.0)
VALIDATION_BLOCKS = 512
MODELS = {"clm": ("gpt2", "qwen3", "bpe"), "mlm": ("bert", "modernbert", "wordpiece")}
"""The peer's architecture, that of lmkit's recipe, and the tokenizer of both."""


def recipe(objective: str, minutes: float) -> dict[str, Any]:
    """lmkit's own, for so many minutes."""
    _, encoder, tokenizer = MODELS[objective]
    return {
        "tokenizer": {"use": tokenizer, "vocab_size": SMALL.vocabulary},
        "data": {"train": [f"{DATA}/books/train/**/*.md"], "document": "paragraph"},
        "encoder": {"use": encoder, "layers": SMALL.layers, "width": SMALL.width},
        "objective": {"use": objective, **({"rate": 0.3, "final_rate": 0.15} if objective == "mlm" else {})},
        "train": {
            "minutes": minutes,
            "block_tokens": SMALL.block_tokens,
            "batch_tokens": SMALL.step_tokens,
            "compile": "on" if can_compile() else "off",
            "evaluate_every_steps": 0,
        },
    }


def tokenizer_folder(objective: str) -> Path:
    """The tokenizer of both sides as files that transformers reads; made once a machine."""
    folder = CACHE / f"curves-{objective}"
    if not folder.is_dir():
        from lmkit.recipe import read_pretraining
        from lmkit.run.texts import tokenizer_of

        read = read_pretraining(recipe(objective, 1.0))
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        tokenizer_of(read.tokenizer, read.data)[0].save(unfinished)
        unfinished.rename(folder)
    return folder


def blocks(objective: str, part: str) -> torch.Tensor:
    """[blocks, tokens] of books, end to end, as the Trainer's own scripts cut them."""
    from transformers import AutoTokenizer

    file = CACHE / f"curves-{objective}-{part}.pt.npy"
    if not file.exists():
        import numpy as np

        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(objective))
        ids: list[int] = []
        for book in sorted((DATA / "books" / part).rglob("*.md")):
            for paragraph in book.read_text(encoding="utf-8").split("\n\n"):
                ids += tokenizer(paragraph)["input_ids"]
        whole = len(ids) // SMALL.block_tokens * SMALL.block_tokens
        np.save(file, np.array(ids[:whole], np.int64).reshape(-1, SMALL.block_tokens))
    import numpy as np

    return torch.from_numpy(np.load(file))


def masked(tokens: torch.Tensor, special: Sequence[int], rate: float = 0.15) -> torch.Tensor:
    """Which tokens of validation are hidden: the same for both sides."""
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(tokens.shape, generator=generator) < rate) & ~torch.isin(tokens, torch.tensor(special))


@torch.no_grad()
def score(objective: str, logits: Any) -> float:
    """Mean loss of a prediction on the first validation blocks; `logits`: [n, tokens] -> [n, tokens, vocabulary]."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(objective))
    total, count = 0.0, 0
    for some in torch.split(blocks(objective, "validation")[:VALIDATION_BLOCKS], 16):
        if objective == "clm":
            scores, wanted = logits(some)[:, :-1], some[:, 1:]
        else:
            hidden = masked(some, tokenizer.all_special_ids)
            scores, wanted = logits(some.masked_fill(hidden, tokenizer.mask_token_id))[hidden], some[hidden]
        losses = torch.nn.functional.cross_entropy(scores.reshape(-1, scores.shape[-1]).float(), wanted.reshape(-1))
        total, count = total + float(losses) * wanted.numel(), count + wanted.numel()
    return total / count


def by_lmkit(objective: str, minutes: float) -> dict[str, Any]:
    """A run of lmkit, exported, and scored as the peer is."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    import lmkit
    from lmkit.cli.memory import keep_freed_memory
    from lmkit.cli.waiting import wait_politely

    wait_politely()  # as the command does, and the next
    keep_freed_memory()
    tables = recipe(objective, minutes)
    tables["tokenizer"] = {"use": MODELS[objective][2], "folder": str(tokenizer_folder(objective))}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run = lmkit.pretrain(tables, run=Path(folder) / "run", quiet=True)
        seconds = time.perf_counter() - begun
        lmkit.export(run, to="transformers", out=Path(folder) / "exported")
        auto = AutoModelForCausalLM if objective == "clm" else AutoModelForMaskedLM
        model = auto.from_pretrained(Path(folder) / "exported").eval()
        loss = score(objective, lambda tokens: model(tokens).logits)
    return {"loss": loss, "seconds": seconds}


def by_trainer(objective: str, minutes: float, rate: float, *, best: bool) -> dict[str, Any]:
    """A run of the Trainer that ends after so many minutes, its learning rate falling to zero until then."""
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

    from benchmarks.training.peer_models import build_model

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(objective))
    data = [{"input_ids": row} for row in blocks(objective, "train")]
    limit = 60 * minutes

    class ByTheClock(TrainerCallback):  # type: ignore[misc]
        """Sets the learning rate by the share of the time that is spent, and stops at its end."""

        begun = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            spent = min(1.0, (time.perf_counter() - self.begun) / limit) if self.begun else 0.0
            factor = spent / 0.05 if spent < 0.05 else (1 - spent) / 0.95
            for group in more["optimizer"].param_groups:
                group["lr"] = rate * max(factor, 0.001)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            self.begun = (
                self.begun or time.perf_counter()
            )  # the first step compiles, which is not counted on either side
            control.should_training_stop = time.perf_counter() - self.begun >= limit

    bf16 = computes_in_bf16("cuda" if torch.cuda.is_available() else "cpu")
    changes = {"bf16": bf16, "use_cpu": not torch.cuda.is_available(), "torch_compile": can_compile()} if best else {}
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            build_model(MODELS[objective][0], SMALL, dropout=0.0 if best else 0.1),
            TrainingArguments(
                folder,
                per_device_train_batch_size=SMALL.rows,
                max_steps=1_000_000,
                lr_scheduler_type="constant",
                learning_rate=rate,
                weight_decay=0.01,
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                report_to="none",
                **changes,
            ),
            train_dataset=data,
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=objective == "mlm"),
            callbacks=[ByTheClock()],
        )
        done = trainer.train()
    model = trainer.model.eval()
    return {"loss": score(objective, lambda tokens: model(tokens).logits), "steps": done.global_step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--objective", choices=MODELS, nargs="*", default=list(MODELS))
    parser.add_argument("--only", nargs="*", choices=("tune", "trainer", "trainer-best", "lmkit"))
    parser.add_argument("--cell", metavar="JSON", help="make one in this process, and print it")
    options = parser.parse_args()
    if options.cell:
        cell = json.loads(options.cell)
        objective, minutes = cell["objective"], cell["minutes"]
        if cell["side"] == "lmkit":
            print(json.dumps(by_lmkit(objective, minutes)))
        else:
            print(json.dumps(by_trainer(objective, minutes, cell["rate"], best=cell["side"] != "trainer")))
        return

    def make(wanted: Sequence[Mapping[str, Any]]) -> None:
        make_cells(
            options.cells,
            wanted,
            lambda cell: ["benchmarks.curves", str(options.cells), "--cell", json.dumps(dict(cell))],
        )

    for objective in options.objective:
        base = {"objective": objective}
        if not options.only or "tune" in options.only:
            make([{**base, "side": "tune", "minutes": TUNE, "rate": rate} for rate in RATES])
        tuned = [c for c in read_cells(options.cells) if c["objective"] == objective and c["side"] == "tune"]
        rate = min(tuned, key=lambda cell: cell["loss"])["rate"] if tuned else RATES[1]
        sides = [s for s in ("lmkit", "trainer-best", "trainer") if not options.only or s in options.only]
        for side in sides:
            minutes = SHORT if side == "lmkit" else LONG
            make([{**base, "side": side, "minutes": m, "rate": 0.0 if side == "lmkit" else rate} for m in minutes])
    for cell in read_cells(options.cells):
        print(f"| {cell['objective']} | {cell['side']} | {cell['minutes']:g} | {cell['rate']:g} | {cell['loss']:.3f} |")


if __name__ == "__main__":
    main()
