"""A peer: a loop of forty lines in the manner of nanoGPT, around the same model of transformers.

One flat array of tokens, blocks from random places of it, no loader, no framework; bf16 autocast, AdamW's fused step,
clipping at 1, torch.compile where a compiler is.  Masks are drawn for a whole batch at once.
"""

import time

import numpy as np
import torch

from benchmarks.training.peer import Peer, peer

_MASK, _SPECIALS = 4, 5
"""Of the peer's word pieces: the mask, and how many ids at the beginning are special."""


def flat(it: Peer) -> torch.Tensor:
    """The row's text as one array of tokens."""
    table = it.blocks.with_format("numpy", columns=["input_ids"])
    return torch.from_numpy(np.concatenate([np.ravel(part["input_ids"]) for part in table.iter(4096)]).astype(np.int64))


def masked(tokens: torch.Tensor, vocabulary: int, rate: float = 0.15) -> tuple[torch.Tensor, torch.Tensor]:
    """What is read, and what is to be predicted: -100 where nothing is."""
    chosen = (torch.rand(tokens.shape) < rate) & (tokens >= _SPECIALS)
    kind = torch.rand(tokens.shape)
    read = torch.where(chosen & (kind < 0.8), _MASK, tokens)
    read = torch.where(chosen & (kind >= 0.9), torch.randint_like(tokens, _SPECIALS, vocabulary), read)
    return read, torch.where(chosen, tokens, -100)


def main() -> None:
    it = peer(__doc__)
    if it.objective == "span-denoising":
        raise SystemExit("span denoising has a collator, not a plain loop")
    torch.manual_seed(1)
    tokens, length = flat(it), it.shape.block_tokens
    model = it.model.train()
    losses = torch.compile(model) if it.compiles else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
    ends, total = [], 0.0
    for _ in range(it.warmup_steps + it.steps):
        optimizer.zero_grad(set_to_none=True)
        for _ in range(it.accumulation):
            starts = torch.randint(len(tokens) - length, (it.micro,))
            read = tokens[starts[:, None] + torch.arange(length)]
            read, labels = masked(read, it.shape.vocabulary) if it.objective == "mlm" else (read, read)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=it.bf16):
                loss = losses(input_ids=read, labels=labels).loss / it.accumulation
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ends.append(time.perf_counter())
    it.tell(ends, total / len(ends), optimizer="adamw, fused")


if __name__ == "__main__":
    main()
