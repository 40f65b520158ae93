"""Task "completion": a model continues a prompt, many prompts at once; each answer depends on its own row alone.

Fine-tuning reads plain texts, of which every token is scored, or prompts with their completions, scored alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import attrs
import numpy as np
import numpy.typing as npt
from attrs import validators
from torch import nn

from lmkit.batch import Example
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.parts.bleu import bleu, bleu_counts, require_sacrebleu
from lmkit.parts.continuation import Continuation
from lmkit.parts.generation import Drawn, Generation, check_room
from lmkit.parts.pieces import Pieces
from lmkit.parts.rows import answer, has_value, text_of
from lmkit_gpt.clm import CausalConfig, CausalLanguageModelling
from lmkit_gpt.fim import ROLES
from lmkit_gpt.prefix_lm import PrefixConfig, PrefixLanguageModelling


@attrs.frozen(kw_only=True)
class CompletionConfig:
    """How the next token is drawn, when to stop, and which columns hold the texts."""

    max_new_tokens: int = attrs.field(default=64, validator=validators.ge(1))
    """Tokens to add at most."""
    temperature: float = attrs.field(default=1.0, validator=validators.ge(0))
    """Below 1 likely tokens become likelier; 0 always takes the likeliest."""
    top_k: int = attrs.field(default=0, validator=validators.ge(0))
    """Draw from so many likeliest tokens only; 0: from all."""
    top_p: float = attrs.field(default=1.0, validator=[validators.gt(0), validators.le(1)])
    """Draw from the fewest likeliest tokens that have this probability together."""
    stop: tuple[str, ...] = attrs.field(
        default=(), validator=validators.deep_iterable(validators.min_len(1), validators.instance_of(tuple))
    )
    """Strings at which to stop; they are left out."""
    seed: int = attrs.field(default=1, validator=validators.ge(0))
    """Of the draws; with its place among the rows it fixes a row's answer."""
    column: str = "text"
    """Column of the text: the prompt to complete, or a text to learn from."""
    prompt_column: str = "prompt"
    """Column of the prompt, in rows that have one apart from its completion."""
    completion_column: str = "completion"
    """Column of the completion to learn, white space at its start included."""
    suffix_column: str | None = None
    """Column of what stands behind the completion, for a model that fills in the middle (objective "fim")."""
    bleu: bool = False
    """Also score completions by BLEU, from 0 to 100; needs the extra lmkit[bleu]."""
    show_tokens: bool = False
    """Also tell the text and the probability of each token that was drawn."""
    attention: Literal["causal", "mixed"] = "causal"
    """How examples are read when learning: "mixed" sees prompts whole, as objective "prefix-lm" does."""
    longest: int = attrs.field(default=128, validator=validators.ge(2))
    """Tokens of an example to learn from at most; a longer text becomes several."""


_ASKED = 5  # words of a question while the model learns


@attrs.frozen(eq=False)
class _Prompt:
    text: str
    ids: npt.NDArray[np.int64]
    key: tuple[int, ...]
    suffix: str = ""


class Completion(Task):
    """Continues a prompt; one answer a row, in order.

    {"completion": text, "text": all of it, "stopped": "end" (the model ended the text), "stop" (a stop string) or
    "length", "tokens": how many were drawn, "log_probability": of all of them, in nats}, and where it is asked for
    "drawn": [{"text", "probability"}], whose texts are the completion
    """

    name = "completion"
    Config = CompletionConfig
    reads: ClassVar[frozenset[str]] = frozenset({"next-token", "masked-next-token"})
    verb: ClassVar[str | None] = "complete"

    def __init__(self, config: CompletionConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer
        special = tokenizer.vocabulary.special
        self._end = [special["eos"]] if "eos" in special else []
        if config.bleu:
            require_sacrebleu()

    def build_objective(self, labels: Sequence[str]) -> Continuation:
        if self.config.attention == "mixed":
            return PrefixLanguageModelling(PrefixConfig(), self.tokenizer.vocabulary)
        return CausalLanguageModelling(CausalConfig(), self.tokenizer.vocabulary)

    def row(self, text: str) -> Row:
        return {self.config.column: text}

    def ask(self, text: str) -> str | None:
        """How to go on with its first words."""
        words = text.split()
        return " ".join(words[:_ASKED]) if len(words) > _ASKED else None

    def examples(self, row: Row) -> Iterator[Example]:
        """A text's tokens cut at `longest`, or one example of a prompt and its completion."""
        if row.get(self.config.completion_column) is not None:
            yield self._pair(row)
            return
        ids = np.append(self._ids(text_of(row, self.config.column)), self._end)
        if len(ids) < 2:
            raise DataError(f'column "{self.config.column}": the text is too short to learn from')
        room = max(2, self.config.longest - len(self.tokenizer.wrap(ids[:0]).ids))
        for start in range(0, len(ids), room):
            tokens = self.tokenizer.wrap(ids[start : start + room]).ids
            if len(tokens) > 1:
                yield Example(tokens=tokens, lengths=(len(tokens),))

    def predict(self, encoder: Encoder, head: nn.Module, rows: Iterable[Row], *, batch_tokens: int) -> Iterator[Any]:
        def read(number: int, row: Row) -> _Prompt:
            column = self.config.prompt_column if row.get(self.config.prompt_column) is not None else self.config.column
            text = text_of(row, column)
            if self.config.suffix_column is None or not has_value(row, self.config.suffix_column):
                return self._prompt(encoder, text, number)
            return self._prompt(encoder, text, number, text_of(row, self.config.suffix_column))

        def complete(prompts: Sequence[_Prompt]) -> list[dict[str, Any]]:
            return self._complete(encoder, head, prompts)

        def tokens(prompt: _Prompt) -> int:
            return min(len(prompt.ids) + self.config.max_new_tokens, encoder.longest or sys.maxsize)

        return answer(rows, read, tokens, complete, batch_tokens=batch_tokens)

    def stream(self, encoder: Encoder, head: nn.Module, text: str) -> Iterator[str]:
        """The completion of `text` in pieces of whole characters, as they come: what `predict` gives a first row.

        Raises DataError where the text cannot be completed.
        """
        prompt = self._prompt(encoder, text_of(self.row(text), self.config.column), 0)
        pieces = Pieces(self.tokenizer, prompt.ids, self.config.stop)
        for drawn in self._generation(encoder, head, [prompt]):
            if drawn.stopped != "end" and (piece := pieces.add(drawn.token)):
                yield piece
            if pieces.stopped:
                return
        if piece := pieces.finish():
            yield piece

    def tally(self, prediction: Any, row: Row) -> Mapping[str, float]:
        """Whether a row's own completion came, white space around it aside, and if asked for what BLEU counts of it."""
        if not has_value(row, self.config.completion_column):
            return {}
        said, gold = prediction.get("completion", "").strip(), text_of(row, self.config.completion_column).strip()
        counts = bleu_counts(said, gold) if self.config.bleu else {}
        return {"rows": 1.0, "right": float(said == gold), **counts}

    def score(self, total: Mapping[str, float]) -> Mapping[str, float]:
        if not total.get("rows"):
            return {}
        return {"exact_match": total["right"] / total["rows"]} | ({"bleu": bleu(total)} if self.config.bleu else {})

    def _ids(self, text: str) -> npt.NDArray[np.int64]:
        return self.tokenizer.encode_batch([text])[0]

    def _opening(self, text: str) -> npt.NDArray[np.int64]:
        """The ids of a text that goes on: wrapped as the encoder reads it, without what would close it."""
        ids = self._ids(text)
        wrapped = self.tokenizer.wrap(ids)
        return wrapped.ids[: wrapped.first + len(ids)]

    def _pair(self, row: Row) -> Example:
        opening = self._opening(text_of(row, self.config.prompt_column))
        completion = np.append(self._ids(text_of(row, self.config.completion_column)), self._end)
        tokens = np.concatenate([opening, completion]).astype(np.int64)
        if not len(opening) or not len(completion):
            raise DataError("a prompt and a completion are wanted, and neither may be empty")
        if len(tokens) > self.config.longest:
            raise DataError(
                f"prompt and completion have {len(tokens):,} tokens together, longest is {self.config.longest:,}: "
                f"raise it, or shorten them"
            )
        return Example(tokens=tokens, lengths=(len(tokens),), target=np.arange(len(tokens)) >= len(opening))

    def _prompt(self, encoder: Encoder, text: str, number: int, suffix: str = "") -> _Prompt:
        ids = self._around(text, suffix) if suffix else self._opening(text)
        check_room(encoder, len(ids))
        return _Prompt(text, ids, (self.config.seed, number), suffix)

    def _around(self, prefix: str, suffix: str) -> npt.NDArray[np.int64]:
        """The ids that ask for what stands between two texts, as "fim" has it."""
        special = self.tokenizer.vocabulary.special
        if not all(role in special for role in ROLES):
            raise DataError(
                f'column "{self.config.suffix_column}": this model cannot fill in the middle: its tokenizer lacks '
                f"{', '.join(ROLES)}"
            )
        before, behind, middle = ([special[role]] for role in ROLES)
        ids = np.concatenate([before, self._ids(prefix), behind, self._ids(suffix), middle]).astype(np.int64)
        wrapped = self.tokenizer.wrap(ids)
        return wrapped.ids[: wrapped.first + len(ids)]

    def _generation(self, encoder: Encoder, head: nn.Module, prompts: Sequence[_Prompt]) -> Generation:
        return Generation(
            encoder,
            head,
            [prompt.ids for prompt in prompts],
            keys=[prompt.key for prompt in prompts],
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            top_k=self.config.top_k,
            top_p=self.config.top_p,
            end_ids=self._end,
        )

    def _complete(self, encoder: Encoder, head: nn.Module, prompts: Sequence[_Prompt]) -> list[dict[str, Any]]:
        pieces = [Pieces(self.tokenizer, prompt.ids, self.config.stop) for prompt in prompts]
        last: dict[int, Drawn] = {}
        shown: list[list[tuple[int, float]]] = [
            [] for _ in prompts
        ]  # characters until then, and how likely the last was
        tokens, log_probability = [0] * len(prompts), [0.0] * len(prompts)
        generation = self._generation(encoder, head, prompts)
        for drawn in generation:
            i = drawn.prompt
            last[i] = drawn
            tokens[i] += 1
            log_probability[i] += drawn.log_probability
            if drawn.stopped != "end":
                pieces[i].add(drawn.token)
                shown[i].append((len(pieces[i].text), math.exp(drawn.log_probability)))
            if pieces[i].stopped:
                generation.leave(i)
        for piece in pieces:
            piece.finish()
        return [
            {
                "completion": pieces[i].text,
                "text": prompt.text + pieces[i].text + prompt.suffix,
                "stopped": "stop" if pieces[i].stopped else last[i].stopped,
                "tokens": tokens[i],
                "log_probability": log_probability[i],
                **({"drawn": _drawn(pieces[i].text, shown[i])} if self.config.show_tokens else {}),
            }
            for i, prompt in enumerate(prompts)
        ]


def _drawn(text: str, shown: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    """The parts of a text that its tokens brought; one that only begins a character brings none yet."""
    parts, begun = [], 0
    for number, (end, probability) in enumerate(shown):
        end = len(text) if number == len(shown) - 1 else min(end, len(text))
        parts.append({"text": text[begun:end], "probability": probability})
        begun = end
    return parts
