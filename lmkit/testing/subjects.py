"""What is under test, with the partners that the kit gives it: a subject builds both, as often as a check asks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from lmkit.batch import Attention, Example, Packed, pack
from lmkit.errors import DataError
from lmkit.interfaces import Encoder, Objective, Task, Tokenizer, Vocabulary
from lmkit.interfaces.task import Row
from lmkit.model import Model, build_model
from lmkit.testing.check import Failed
from lmkit.testing.reference import ByteTokenizer, Continuing, Denoising, Prefixed, ReferenceEncoder
from lmkit.testing.samples import TEXTS, blocks, sentences
from lmkit.testing.training import FIT_STEPS, fit

PARTNERS: Mapping[Attention, type[Continuing | Denoising | Prefixed]] = {
    "bidirectional": Denoising,
    "causal": Continuing,
    "mixed": Prefixed,
}
"""The reference objective for each attention that an encoder can do."""


@attrs.frozen(eq=False)
class TokenizerSubject:
    """A tokenizer, trained on the kit's own sentences."""

    component: type[Tokenizer]
    config: Any

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return self.train()

    def train(self) -> Tokenizer:
        """A new one; the texts can be read once only."""
        return self.component.train(self.config, iter(TEXTS * 4))


@attrs.frozen(eq=False)
class EncoderSubject:
    """An encoder, on the vocabulary of a tokenizer, with the reference objectives."""

    component: type[Encoder]
    config: Any
    tokenizer: Tokenizer

    @property
    def vocabulary(self) -> Vocabulary:
        return self.tokenizer.vocabulary

    @property
    def attentions(self) -> list[Attention]:
        """What it can do, in the order in which the kit tries it."""
        return [attention for attention in PARTNERS if attention in self.component.attention]

    def model(self, attention: Attention, *, config: Any = None, seed: int = 1) -> Model:
        """A new one with the reference objective of this attention."""
        partner = PARTNERS[attention]
        objective = partner(partner.Config(context=self.component.takes_context), self.vocabulary)
        config = self.config if config is None else config
        return build_model(self.component, config, objective, self.vocabulary, seed=seed, longest=1)

    def build(self, *, config: Any = None, seed: int = 1) -> Encoder:
        """A new one, in evaluation mode."""
        return self.model(self.attentions[0], config=config, seed=seed).encoder.eval()

    @property
    def configs(self) -> list[Any]:
        """The config, and where it has dropout once without and once with a tenth dropped."""
        if "dropout" not in {field.name for field in attrs.fields(type(self.config))}:
            return [self.config]
        return [attrs.evolve(self.config, dropout=share) for share in (0.0, 0.1)]

    @cached_property
    def blocks(self) -> list[Example]:
        return blocks(self.tokenizer, capacity=min(self.build().longest or 96, 96))

    def inputs(
        self,
        attention: Attention,
        examples: Sequence[Example],
        *,
        filler: int | None = None,
        context: Sequence[Example] | None = None,
    ) -> Packed:
        """These examples as an objective of this attention would pack them; where it reads a context, it is theirs."""
        filler = self.vocabulary.special["pad"] if filler is None else filler
        reach = [np.concatenate([_half_seen(n) for n in e.lengths]) for e in examples] if attention == "mixed" else None
        contexts = (context or examples) if self.component.takes_context else None
        return pack(examples, attention=attention, filler=filler, reach=reach, contexts=contexts)[0]


@attrs.frozen(eq=False)
class ObjectiveSubject:
    """An objective on the reference encoder."""

    component: type[Objective[Any]]
    config: Any
    tokenizer: Tokenizer
    given: Sequence[Example] | None

    @property
    def vocabulary(self) -> Vocabulary:
        return self.tokenizer.vocabulary

    def objective(self) -> Objective[Any]:
        """A new one."""
        return self.component(self.config, self.vocabulary)

    def model(self, *, seed: int = 1) -> Model:
        """A new one on a new reference encoder, in evaluation mode."""
        encoder = ReferenceEncoder
        model = build_model(encoder, encoder.Config(), self.objective(), self.vocabulary, seed=seed, longest=1)
        return model.eval()

    @property
    def examples(self) -> Sequence[Example]:
        """Eight fitting examples or more, fresh ones each time: the caller's, or blocks of sentences."""
        return blocks(self.tokenizer) if self.given is None else copy.deepcopy(self.given)

    @property
    def kinds(self) -> list[Sequence[Example]]:
        """Lists of examples that come together in a run: blocks, or what shares rows."""
        return [self.examples] if self.given is not None else [self.examples, sentences(self.tokenizer)]


@attrs.frozen(eq=False)
class TaskSubject:
    """A task on the reference encoder, with the objective that it builds."""

    component: type[Task]
    config: Any
    tokenizer: Tokenizer
    given: Sequence[Row] | None
    right: Callable[[Any, Row], bool] | None

    def task(self) -> Task:
        """A new one."""
        return self.component(self.config, self.tokenizer)

    @cached_property
    def rows(self) -> Sequence[Row]:
        """Four fitting rows or more: the caller's, or those of plain texts, with a mask where there is one."""
        if self.given is not None:
            return self.given
        texts = [_with_mask(text) if isinstance(self.tokenizer, ByteTokenizer) else text for text in TEXTS]
        return [self.task().row(text) for text in texts]

    @cached_property
    def examples(self) -> list[Example]:
        """The examples of the first four rows."""
        task = self.task()
        try:
            made = [example for row in self.rows[:4] for example in task.examples(row)]
        except DataError as error:
            raise Failed("rows that the task can read", f"DataError: {error}", "rows= has to be given") from None
        return [attrs.evolve(example, key=(6, 0, number)) for number, example in enumerate(made)]

    def objective(self) -> Objective[Any]:
        """What the task trains with."""
        task = self.task()
        return task.build_objective(sorted({label for row in self.rows for label in task.labels(row)}))

    def model(self, encoder: type[Encoder] = ReferenceEncoder) -> Model:
        """The task's objective on a new encoder, in evaluation mode."""
        vocabulary = self.tokenizer.vocabulary
        return build_model(encoder, encoder.Config(), self.objective(), vocabulary, seed=1, longest=1).eval()

    @cached_property
    def trained(self) -> tuple[Model, list[float]]:
        """A model that was trained on the first four rows, and its losses."""
        model = self.model()
        return model, fit(model, [self.examples] * FIT_STEPS)

    def answers(self, rows: Sequence[Row], *, batch_tokens: int = 256) -> list[Any]:
        """What the trained model answers."""
        model, _ = self.trained
        return list(self.task().predict(model.encoder, model.head, rows, batch_tokens=batch_tokens))


def _half_seen(length: int) -> npt.NDArray[np.int64]:
    """[length] reach: the first half of a sequence is seen whole, the second from left to right."""
    reach: npt.NDArray[np.int64] = np.maximum(np.arange(length), (length + 1) // 2 - 1)
    return reach


def _with_mask(text: str) -> str:
    """The text with its third word masked, as the reference tokenizer writes it."""
    words = text.split(" ")
    return " ".join([*words[:2], "[MASK]", *words[3:]])
