"""Samples: what the model answers at each validation, to the same questions, so that a person sees it learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch

from lmkit.batch import Example
from lmkit.engine.events import Evaluated, Event, Sampled
from lmkit.errors import LmkitError
from lmkit.interfaces import Task
from lmkit.registry import Registry
from lmkit.run.training import Trainee

_TEXTS = 2
_LOOKED_AT = 16


class Samples:
    """An observer that asks at each step that is validated, once, and tells of it; it changes no weight and no draw."""

    def __init__(self, trainee: Trainee, registry: Registry, tell: Callable[[Event], None]) -> None:
        self._model, self._tell = trainee.model, tell
        self._questions = partial(_questions, trainee, registry)
        self._asked: list[tuple[Task, str]] | None = None
        self._newest = -1

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Evaluated) or event.step == self._newest:
            return
        self._newest = event.step
        if self._asked is None:
            self._asked = list(self._questions())
        with torch.random.fork_rng():
            for task, question in self._asked:
                rows = [task.row(question)]
                answers = list(task.predict(self._model.encoder, self._model.head, rows, batch_tokens=1024))
                said = answers[0].get("text") if isinstance(answers[0], Mapping) else None
                if isinstance(said, str):
                    self._tell(Sampled(step=event.step, asked=question, answered=said))


def _questions(trainee: Trainee, registry: Registry) -> Iterator[tuple[Task, str]]:
    """Of each task that reads the head and has something to ask, its questions about texts that are held out."""
    texts = list(_texts(trainee))
    for component in registry.components():
        if component.kind != "task":
            continue
        try:
            cls: type[Task] = component.load()
            if trainee.model.objective.head_kind not in cls.reads:
                continue
            task = cls(cls.Config(), trainee.parts.tokenizer)
        except (LmkitError, TypeError):  # it is told where it is asked for
            continue
        questions = [question for text in texts if (question := task.ask(text))]
        yield from ((task, question) for question in questions[:_TEXTS])


def _texts(trainee: Trainee) -> Iterator[str]:
    """The beginnings of some documents of the first validation set, or of the training text where there is none."""
    held: Any = next(iter(trainee.validation.values()), None)
    examples: list[Example] = held[:_LOOKED_AT] if held is not None else trainee.source.examples(0, _LOOKED_AT)
    for example in examples:
        yield " ".join(trainee.parts.tokenizer.decode(example.tokens[: example.lengths[0]]).split())
