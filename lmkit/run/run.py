"""Run: a trained model with its tokenizer, ready to answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

import attrs
import torch
from torch import Tensor

from lmkit.batch import Attention, Example, pack
from lmkit.checkpoint import last_step
from lmkit.config import structure
from lmkit.errors import ConfigError, DataError, FitError, PluginError
from lmkit.interfaces import Task, Tokenizer
from lmkit.interfaces.task import Row
from lmkit.model import Model, why_not_task
from lmkit.recipe import Chosen
from lmkit.registry import Registry
from lmkit.run.parts import Parts

Precision = Literal["fp32", "bf16"]
BATCH_TOKENS = 8192
"""Tokens that are read at once when answers are made; changes an answer by rounding at most."""


@attrs.frozen(eq=False)
class Encoded:
    """Hidden states of some texts; `hidden, pooled = run.encode(texts)` unpacks it."""

    hidden: Tensor
    """[texts, longest, width]; zeros beyond a text's own tokens."""
    pooled: Tensor
    """[texts, width] one state for each text."""
    lengths: Tensor
    """[texts] tokens of each, special tokens included."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.hidden, self.pooled))


@attrs.frozen(kw_only=True, eq=False)
class Run:
    """A trained model with its tokenizer.

    A task whose head kind this run has gives it a method: `run.fill(text)` where a token is predicted at its own
    position, `run.complete(text)` where the next one is; options of the task's Config are keyword arguments.
    """

    folder: Path
    """Where it lives: config.toml, metrics.jsonl, checkpoints/."""
    step: int
    """Optimizer steps that its weights have seen."""
    block_tokens: int
    """Longest sequence that it was trained on."""
    parts: Parts = attrs.field(repr=False)
    module: Model = attrs.field(repr=False)
    """The torch module: `module.encoder`, `module.head`."""
    registry: Registry = attrs.field(repr=False)
    precision: Precision = "fp32"
    """Of the products by which it answers; what is generated, likelihoods and `encode` are of fp32 always."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to ids and back."""
        return self.parts.tokenizer

    @property
    def head_kind(self) -> str:
        """What its head predicts where: "token", "next-token", ..."""
        return self.module.objective.head_kind

    @property
    def device(self) -> str:
        """Where its weights are."""
        return str(self.module.encoder.token_embedding.weight.device)

    def encode(self, texts: str | Sequence[str]) -> Encoded:
        """Hidden states and one pooled state of each text; raises DataError for a text that is too long."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise DataError("encode: expected at least one text, got none")
        encoder, vocabulary = self.module.encoder, self.tokenizer.vocabulary
        examples = []
        for number, text in enumerate(texts):
            wrapped = self.tokenizer.wrap(self.tokenizer.encode(text).ids)
            length = len(wrapped.ids)
            if encoder.longest is not None and length > encoder.longest:
                raise DataError(
                    f"encode: text {number} has {length} tokens, this encoder reads at most {encoder.longest}: cut it"
                )
            if not length:
                raise DataError(f"encode: text {number} has no tokens")
            examples.append(Example(tokens=wrapped.ids, lengths=(length,), segments=wrapped.segments))
        longest = max(len(e.tokens) for e in examples)
        hidden = torch.zeros(len(texts), longest, encoder.width)
        pooled = torch.zeros(len(texts), encoder.width)
        asked = self.module.objective.attention
        attention: Attention = "bidirectional" if asked == "mixed" else asked
        self.module.eval()
        with torch.inference_mode():
            for chosen in _batches(examples):
                batch = [examples[i] for i in chosen]
                inputs, starts = pack(batch, attention=attention, filler=vocabulary.special["pad"])
                inputs = inputs.to(self.device)
                states = encoder(inputs)
                pooled[chosen] = encoder.pool(states, inputs).cpu()
                for number, start, example in zip(chosen, starts, batch, strict=True):
                    hidden[number, : len(example.tokens)] = states[start : start + len(example.tokens)].cpu()
        return Encoded(hidden, pooled, torch.tensor([len(e.tokens) for e in examples]))

    @property
    def last_step(self) -> int:
        """Of its newest checkpoint; `step` is that of the model, which may be an earlier one that was better."""
        return last_step(self.folder)

    def task(self, name: str | None = None, **options: Any) -> Task:
        """The task of that name, or the run's own, or the one that reads its kind of head and fewest others.

        Of several such, the one of the distribution that made the run's objective.
        Raises FitError where that is not one.
        `options` are fields of the task's Config that are to differ from the run's own, or from the defaults.
        """
        own = self.parts.task
        if own is not None and name in (None, own.component.name):
            chosen = own
        else:
            component = self.registry.find("task", name or self._only_task())
            chosen = Chosen(component, component.load().Config())
        cls: type[Task] = chosen.component.load()
        reason = why_not_task(cls, self.head_kind)
        if reason:
            raise FitError(reason)
        config = chosen.config
        if options:
            owner = str(chosen.component)
            known = attrs.asdict(config, recurse=False)
            config = structure(cls.Config, known | options, source=f"task {cls.name}", owner=owner)
            if chosen is own:
                self._require_same_objective(cls, config, options)
        return cls(config, self.tokenizer)

    def _require_same_objective(self, cls: type[Task], config: Any, options: Iterable[str]) -> None:
        """Raises ConfigError where one of `options` says what the head should have been trained for."""

        def trained_for(config: Any) -> Any:
            task = cls(config, self.tokenizer)
            return getattr(task.build_objective(task.all_labels(self.parts.labels)), "config", None)

        assert self.parts.task is not None
        mine = self.parts.task.config
        if trained_for(config) == trained_for(mine):
            return
        for name in options:
            had, asked = getattr(mine, name), getattr(config, name)
            if trained_for(attrs.evolve(config, **{name: had})) != trained_for(config):
                raise ConfigError(
                    f"task {cls.name}",
                    [f"{name}: this head was trained with {had!r}, which {asked!r} cannot change now: fine-tune again"],
                )

    def predict(
        self, rows: Iterable[Mapping[str, Any] | str], *, task: str | None = None, **options: Any
    ) -> Iterator[Any]:
        """One answer for each row (or text), in order; memory does not grow with the number of rows."""
        if isinstance(rows, (str, Mapping)):
            raise DataError("predict: expected a list of rows or texts, got one: write it in brackets")
        chosen = self.task(task, **options)

        def asked() -> Iterator[Row]:
            for number, row in enumerate(rows):
                if not isinstance(row, (str, Mapping)):
                    raise DataError(f"predict: row {number}: expected a dict or a text, got {type(row).__name__}")
                yield chosen.row(row) if isinstance(row, str) else row

        answers = chosen.predict(self.module.encoder, self.module.head, asked(), batch_tokens=BATCH_TOKENS)
        return self._computed(answers)

    def _computed(self, answers: Iterator[Any]) -> Iterator[Any]:
        """The answers, each made in the run's precision, which is not left on while nobody asks for the next."""
        kind = torch.device(self.device).type
        while True:
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
                try:
                    answer = next(answers)
                except StopIteration:
                    return
            yield answer

    def able(self) -> list[str]:
        """The names of the installed tasks that read this run's head: its own first, then those for it alone."""
        own = self.parts.task.component.name if self.parts.task is not None else None
        able = sorted(self._tasks(), key=lambda task: (task.name != own, len(task.reads), task.name))
        return [task.name for task in able]

    def _repr_html_(self) -> str:
        """For notebooks: what it is and what it can be asked."""
        rows = {
            "folder": self.folder,
            "step": f"{self.step:,}",
            "parameters": f"{sum(p.numel() for p in self.module.parameters()):,}",
            "encoder": self.parts.encoder.component,
            "head": self.head_kind,
            "verbs": ", ".join(sorted(self.verbs())) or "none",
        }
        cells = (f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
        return f"<table>{''.join(cells)}</table>"

    def verbs(self) -> dict[str, str]:
        """Verb -> task: what this run's head can do."""
        return {task.verb: task.name for task in self._tasks() if task.verb is not None}

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb.startswith("_"):
            raise AttributeError(verb)
        verbs = self.verbs()
        if verb not in verbs:
            able = ", ".join(sorted(verbs)) or "none"
            raise AttributeError(f"a run with a head of kind {self.head_kind} has no {verb!r}; its verbs: {able}")

        def answer(text: str | Iterable[str], **options: Any) -> Any:
            single = isinstance(text, str)
            answers = self.predict([text] if isinstance(text, str) else text, task=verbs[verb], **options)
            return next(iter(answers)) if single else list(answers)

        return answer

    def _tasks(self) -> Iterator[type[Task]]:
        """The installed tasks that read this run's head; one that cannot be imported is warned about."""
        for component in self.registry.components():
            if component.kind == "task":
                try:
                    task: type[Task] = component.load()
                except PluginError as error:
                    warnings.warn(f"left out: {error}", stacklevel=2)
                    continue
                if self.head_kind in task.reads:
                    yield task

    def _only_task(self) -> str:
        able = list(self._tasks())
        fewest = min((len(task.reads) for task in able), default=0)
        chosen = [task for task in able if len(task.reads) == fewest]
        if len(chosen) > 1 and self.parts.objective is not None:  # who made the objective says what it is for
            home = self.parts.objective.component.distribution
            own = {c.name for c in self.registry.components() if c.kind == "task" and c.distribution == home}
            chosen = [task for task in chosen if task.name in own] or chosen
        names = sorted(task.name for task in chosen)
        if len(names) == 1:
            return names[0]
        if not names:
            raise FitError(f"no installed task reads a head of kind {self.head_kind}")
        raise FitError(f"several tasks read a head of kind {self.head_kind}: {', '.join(names)}; name one")


def _batches(examples: Sequence[Example]) -> Iterator[list[int]]:
    """Indices of `examples`, longest first, in groups of at most BATCH_TOKENS once padded."""
    order = sorted(range(len(examples)), key=lambda i: -len(examples[i].tokens))
    while order:
        size = max(1, BATCH_TOKENS // len(examples[order[0]].tokens))
        yield order[:size]
        order = order[size:]
