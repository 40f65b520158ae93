"""The [train] table: budget, batch, optimizer, precision. Everything that the engine may be told."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs import validators


@attrs.frozen(kw_only=True)
class Training:
    """How to train; exactly one of steps, tokens, epochs and minutes is the budget, and the schedule follows it."""

    steps: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(1)))
    """Budget in optimizer steps."""
    tokens: int | str | None = None
    """Budget in tokens, such as 10_000_000 or "10M"."""
    epochs: float | None = attrs.field(default=None, validator=validators.optional(validators.gt(0)))
    """Budget in passes over the training data."""
    minutes: float | None = attrs.field(default=None, validator=validators.optional(validators.gt(0)))
    """Budget in minutes of training; such a run repeats its data exactly, but not its numbers."""
    block_tokens: int = attrs.field(default=128, validator=[validators.ge(8), validators.le(1 << 24)])
    """Tokens of a block: the longest sequence that is seen in training."""
    batch_tokens: int = attrs.field(default=8192, validator=[validators.ge(8), validators.le(1 << 40)])
    """Tokens of an optimizer step, over all micro-batches and processes."""
    micro_batch_tokens: int | Literal["auto"] = "auto"
    """Tokens of one forward and backward pass; changes memory and speed, never the result."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon for hidden matrices with AdamW for the rest, or AdamW for all."""
    learning_rate: float = attrs.field(default=0.001, validator=[validators.ge(0), validators.le(1e30)])
    """AdamW's peak learning rate."""
    matrix_learning_rate: float = attrs.field(default=0.01, validator=[validators.ge(0), validators.le(1e30)])
    """Muon's peak learning rate, for hidden matrices."""
    beta1: float = attrs.field(default=0.9, validator=[validators.ge(0), validators.lt(1)])
    """AdamW's decay of the gradient's running mean."""
    beta2: float = attrs.field(default=0.95, validator=[validators.ge(0), validators.lt(1)])
    """AdamW's decay of the squared gradient's running mean."""
    momentum: float = attrs.field(default=0.95, validator=[validators.ge(0), validators.lt(1)])
    """Muon's momentum."""
    weight_decay: float = attrs.field(default=0.1, validator=validators.ge(0))
    """Decoupled weight decay of matrices; norms and biases are never decayed."""
    schedule: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    """Learning rate after the warm-up: flat then falling (wsd), or falling all the way to zero."""
    warmup: float = attrs.field(default=0.05, validator=[validators.ge(0), validators.le(1)])
    """Share of the budget over which the learning rate rises from zero."""
    cooldown: float = attrs.field(default=0.5, validator=[validators.ge(0), validators.le(1)])
    """Share of the budget over which "wsd" falls to zero at the end."""
    batch_warmup: float = attrs.field(default=0.0, validator=[validators.ge(0), validators.le(1)])
    """Share of the budget over which the batch grows from an eighth to its full size."""
    clip: float = attrs.field(default=1.0, validator=validators.ge(0))
    """Largest norm of the gradient; 0 turns clipping off."""
    ema: float = attrs.field(default=0.0, validator=[validators.ge(0), validators.lt(1)])
    """Decay of a running mean of the weights, used to validate and predict; 0 turns it off."""
    layer_decay: float = attrs.field(default=1.0, validator=[validators.gt(0), validators.le(1)])
    """Each layer learns this many times as fast as the one above it (Clark et al. 2020, appendix B); 1: all alike."""
    frozen_layers: int | Literal["all"] = 0
    """Lowest layers of the encoder that stay as they are, embeddings with them; "all": the whole encoder."""
    evaluate_every_steps: int | None = attrs.field(default=None, validator=validators.optional(validators.ge(0)))
    """Steps between validations; one more is made at the end. 0: only then. By default 250, for a task at least once
    an epoch."""
    patience: int = attrs.field(default=0, validator=validators.ge(0))
    """Stop after so many validations of a task in a row without a better one; 0: never before the budget ends."""
    spike: float = attrs.field(default=3.0, validator=validators.ge(0))
    """Stop when a loss exceeds this many times the median of the last 64; 0 turns it off."""
    skip_bad_steps: int = attrs.field(default=0, validator=validators.ge(0))
    """How many steps with a bad loss or gradient to skip, unapplied, before the run stops."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 computes in bfloat16 over fp32 weights; auto does where the hardware has it."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether torch.compile builds kernels for the model; auto does in runs long enough to repay it."""
    activation_checkpointing: bool = False
    """Forget each layer's activations and compute them again in the backward pass: less memory, a third more work."""
    deterministic: bool = False
    """Ask torch for deterministic kernels only, where that costs speed."""
    data_workers: int = attrs.field(default=0, validator=[validators.ge(0), validators.le(256)])
    """Processes that prepare batches; 0: the training process does. Changes speed, never the result."""
    threads: int | Literal["auto"] = "auto"
    """Threads of one process; auto takes what OMP_NUM_THREADS says, or the physical cores."""
    parallel: Literal["none", "ddp", "fsdp"] = "none"
    """How the processes of torchrun share a run: each has a copy of the model (ddp), or a share of it (fsdp)."""
    collective_minutes: float = attrs.field(default=10.0, validator=[validators.gt(0), validators.le(10_000)])
    """How long a process waits for the others before it gives up."""

    def __attrs_post_init__(self) -> None:
        if len(self._budgets) != 1:
            given = " and ".join(self._budgets) or "none of them"
            raise ValueError(f"wanted exactly one budget of steps, tokens, epochs and minutes, got {given}")
        if self.batch_tokens % self.block_tokens:
            raise ValueError(f"batch_tokens {self.batch_tokens} is not a multiple of block_tokens {self.block_tokens}")
        if self.micro_batch_tokens != "auto" and (
            self.micro_batch_tokens < self.block_tokens or self.batch_tokens % self.micro_batch_tokens
        ):
            raise ValueError(
                f"micro_batch_tokens {self.micro_batch_tokens} must be a multiple of block_tokens {self.block_tokens} "
                f"that divides batch_tokens {self.batch_tokens}"
            )
        if self.threads != "auto" and not 1 <= self.threads <= 1024:
            raise ValueError(f'threads: expected 1 to 1024, or "auto", got {self.threads}')
        if self.frozen_layers != "all" and not 0 <= self.frozen_layers <= 10_000:
            raise ValueError(f'frozen_layers: expected how many, or "all", got {self.frozen_layers}')
        if 0 < self.spike <= 1:
            raise ValueError(f"spike: expected more than 1 times the median, or 0 for no such alarm, got {self.spike}")
        self.budget_tokens()

    @property
    def _budgets(self) -> list[str]:
        return [name for name in ("steps", "tokens", "epochs", "minutes") if getattr(self, name) is not None]

    @property
    def budget(self) -> str:
        """What the budget is given in: "steps", "tokens", "epochs" or "minutes"."""
        return self._budgets[0]

    def steps_between_validations(self, epoch: int | None) -> int:
        """0: none before the end; `epoch` has the steps of one, where at least one validation is to come in each."""
        if self.evaluate_every_steps is not None:
            return self.evaluate_every_steps
        return 250 if epoch is None else min(250, epoch)

    def budget_tokens(self) -> int | None:
        """The budget in tokens as a number: "10M" is 10,000,000; raises ValueError for what is no number."""
        if self.tokens is None:
            return None
        if isinstance(self.tokens, int):
            if self.tokens < 1:
                raise ValueError(f"tokens: expected at least 1, got {self.tokens}")
            return self.tokens
        scale = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(self.tokens[-1:].upper(), 1)
        digits = self.tokens[:-1] if scale > 1 else self.tokens
        try:
            tokens = int(float(digits.replace("_", "")) * scale)
        except (ValueError, OverflowError):
            tokens = 0
        if tokens < 1:
            raise ValueError(f'tokens: expected a number such as 5000000 or "5M", got {self.tokens!r}')
        return tokens
