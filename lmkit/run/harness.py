"""Harness: a run as a model of EleutherAI's lm-evaluation-harness (the extra `lmkit[eval]`), with no network.

    lm_eval.simple_evaluate(model=RunLM("runs/gpt"), tasks=["mine"], task_manager=TaskManager(include_path="tasks"))
    python -m lmkit.run.harness run --model lmkit --model_args run=runs/gpt --tasks mine --include_path tasks

A causal model answers all requests; a masked one only how likely texts are, by pseudo-log-likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmkit.errors import FitError
from lmkit.parts.scoring import judged
from lmkit.run.load import load
from lmkit.run.run import BATCH_TOKENS, Run

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ImportError as error:
    raise ImportError("the harness needs an extra: pip install 'lmkit[eval]'") from error

_NEW_TOKENS = 256  # of an answer, where a task does not say
_DRAWING = ("temperature", "top_k", "top_p")


@register_model("lmkit")
class RunLM(LM):  # type: ignore[misc]
    """A run as the harness sees a model: of texts, how likely they are, and what follows them."""

    def __init__(self, run: Run | Path | str, batch_tokens: int | str = BATCH_TOKENS, **_: Any) -> None:
        """Of a run, or its folder; `batch_tokens` are read at once.  What else the harness passes says nothing here."""
        super().__init__()
        self.run = run if isinstance(run, Run) else load(run)
        if not str(batch_tokens).isdigit() or not int(batch_tokens):  # the command line gives text
            raise FitError(f"batch_tokens: expected a number of tokens, 1 or more, got {batch_tokens!r}")
        self._batch_tokens = int(batch_tokens)
        special = self.run.tokenizer.vocabulary.special
        causal = self.run.head_kind in ("next-token", "masked-next-token")
        self._opening = special.get("bos", special.get("eos")) if causal else None

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Of each (context, continuation) the continuation's log-probability, and whether it is the likeliest."""
        return self._judged([instance.args for instance in requests])

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Of each text its whole log-probability."""
        return [total for total, _ in self._judged([("", instance.args[0]) for instance in requests])]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """What follows each text, until a stop string.

        Of a text longer than the model reads, the end is continued.  Raises FitError for a model that is not causal.
        """
        if self.run.head_kind not in ("next-token", "masked-next-token"):
            raise FitError(f"a run with a head of kind {self.run.head_kind} writes no text; this task asks for one")
        made = []
        for instance in requests:
            text, options = instance.args
            stop = options.get("until") or []
            new_tokens = int(options.get("max_gen_toks", _NEW_TOKENS))
            text = self._end_of(text, new_tokens)
            drawn = {"temperature": 0.0}
            if options.get("do_sample"):
                drawn = {"temperature": 1.0} | {name: options[name] for name in _DRAWING if name in options}
            answer = next(
                self.run.predict(
                    [text],
                    task=self.run.verbs()["complete"],
                    max_new_tokens=new_tokens,
                    stop=[stop] if isinstance(stop, str) else list(stop),
                    **drawn,
                )
            )
            if "error" in answer:
                raise FitError(f"the harness asked for what follows {text[:60]!r}: {answer['error']}")
            made.append(answer["text"][len(text) :])
        return made

    def _end_of(self, text: str, new_tokens: int) -> str:
        """A text, or as much of its end as leaves room for the new tokens; at least half of what the model reads."""
        longest = self.run.module.encoder.longest
        if longest is None:
            return text
        encoded = self.run.tokenizer.encode(text)
        around = len(self.run.tokenizer.wrap(encoded.ids).ids) - len(encoded.ids)
        room = max(longest - new_tokens, longest // 2) - around
        return text if len(encoded.ids) <= room else text[encoded.offsets[-room, 0] :]

    def _judged(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
        sequences, counted = [], []
        for context, continuation in pairs:
            encoded = self.run.tokenizer.encode(context + continuation)
            wrapped = self.run.tokenizer.wrap(encoded.ids)
            ids, first = wrapped.ids, wrapped.first
            if not first and self._opening is not None:  # a first token needs one before it to be predicted from
                ids, first = np.append(self._opening, ids), 1
            wanted = np.zeros(len(ids), bool)
            wanted[first : first + len(encoded.ids)] = encoded.offsets[:, 1] > len(context)
            sequences.append(ids)
            counted.append(wanted)
        module = self.run.module
        found = judged(
            module.encoder,
            module.head,
            self.run.tokenizer.vocabulary,
            sequences,
            counted,
            batch_tokens=self._batch_tokens,
        )
        return [(one.sum, one.greedy) for one in found]


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
