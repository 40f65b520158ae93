"""The training loop: batches move through a model that sums its losses. It has never heard of a mask or a label."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from lmkit.batch import Batch, Example
from lmkit.engine.alarms import SPIKE_WINDOW, sentence, what_is_wrong
from lmkit.engine.best import Judge, judged
from lmkit.engine.compiled import compiled, has_unused
from lmkit.engine.device import Choices, deterministic
from lmkit.engine.distributed import Processes
from lmkit.engine.ema import WeightAverage
from lmkit.engine.events import Alarm, Event, Finished, Observer, Saved, Stepped
from lmkit.engine.feed import Collate, Feed, Plan, Source
from lmkit.engine.meter import Meter
from lmkit.engine.optimizer import Optimizer
from lmkit.engine.parallel import Parallel, Rows, kept, load_weights
from lmkit.engine.saving import Saving
from lmkit.engine.schedule import Schedule
from lmkit.engine.settings import Training
from lmkit.engine.signals import StopRequest
from lmkit.engine.state import Snapshot, State
from lmkit.engine.step import Losses, StepResult, backward, clip, seed_dropout
from lmkit.engine.validation import Validator
from lmkit.errors import Interrupted, TrainingAlarm


@attrs.define(kw_only=True)
class Engine:
    """Trains one model on one source; everything that changes is in `state`, the model and the optimizer."""

    model: nn.Module
    measure: Losses
    roles: Mapping[str, str]
    layers: Sequence[nn.Module]
    weights: Mapping[str, float]
    source: Source
    collate: Collate
    validation: Mapping[str, Sequence[Example]]
    example_tokens: float
    """Tokens of an example on average, filler included: what a batch in tokens is in examples."""
    settings: Training
    choices: Choices
    seed: int
    scales: Mapping[str, float] = attrs.field(factory=dict)
    """Parameter -> share of the learning rate that it gets; 1 where none is given."""
    judge: Judge | None = None
    """Where there is one, the model that it finds best is saved whenever it gets better."""
    observers: Sequence[Observer]
    saving: Saving | None
    state: State = attrs.field(factory=State)
    processes: Processes = attrs.field(factory=Processes.current)
    optimizer: Optimizer = attrs.field(init=False)
    average: WeightAverage | None = attrs.field(init=False, default=None)
    schedule: Schedule = attrs.field(init=False)
    _validator: Validator = attrs.field(init=False)
    _stop: StopRequest = attrs.field(init=False, factory=StopRequest)
    _interrupted: bool = attrs.field(init=False, default=False)
    _parallel: Parallel = attrs.field(init=False)
    _meter: Meter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.state.choices = self.choices
        self.model.to(self.choices.device)
        self._parallel = Parallel(self.model, self.layers, self.settings, self.choices, self.processes)
        self.optimizer = Optimizer(
            self.model, self.roles, self.settings, scales=self.scales, matrix_dtype=self.choices.dtype
        )
        if self.settings.ema:
            self.average = WeightAverage(self.model, self.settings.ema)
        self._validator = Validator(
            model=self.model,
            measure=self._parallel.hooked(self.measure),
            sets=self.validation,
            collate=self.collate,
            weights=self.weights,
            judge=self.judge,
            choices=self.choices,
            processes=self.processes,
        )
        self.schedule = Schedule.of(self.settings, epoch_examples=len(self.source), example_tokens=self.example_tokens)

    def snapshot(self) -> Snapshot:
        """The run as it stands, to be written before the next step: what is this process's to write."""
        tensors: dict[str, Mapping[str, Tensor]]
        tensors = {"model": self.model.state_dict(), "optimizer": self.optimizer.state()}
        if self.average is not None:
            tensors["ema"] = self.average.tensors
        mine = {stem: kept(named, self.processes) for stem, named in tensors.items()}
        return Snapshot(state=self.state, tensors=mine, shared=self._parallel.shares)

    def restore(self, state: State, tensors: Mapping[str, Mapping[str, Rows]]) -> None:
        """Stand where `snapshot` stood; raises KeyError or RuntimeError where names or shapes differ."""
        self.state = attrs.evolve(state, choices=self.choices)
        load_weights(self.model, tensors["model"])
        self.optimizer.load(tensors["optimizer"])
        if self.average is not None:
            self.average.load(tensors["ema"])

    def train(self) -> None:
        """Go on until the budget is spent; raises Interrupted after a signal, TrainingAlarm for a bad loss.

        Whatever ends it, what was done until then is saved first, except a step that raised the alarm.
        """
        torch.set_num_threads(self.choices.threads)
        with self._stop, torch.random.fork_rng(), deterministic(self.settings.deterministic):
            self.model.train()
            reason = "alarm"
            try:
                self._train()
                self._settle()
                reason = "interrupted" if self._interrupted else "no better" if self._is_stale else "done"
            finally:
                state = self.state
                self._emit(Finished(step=state.step, reason=reason, tokens=state.tokens, seconds=state.seconds))
        if self._interrupted:
            by = self._stop.signal or "a signal to another process"
            kept = "; everything is saved" * (self.saving is not None)
            raise Interrupted(f"stopped by {by} after step {self.state.step}{kept}")

    def _train(self) -> None:
        micro = max(1, round(self.choices.micro_batch_tokens / self.example_tokens))
        if self.processes.world > 1:  # no more than its share of a step
            micro = min(micro, math.ceil(self.schedule.full / self.processes.world))
        feed = Feed(source=self.source, collate=self.collate, micro_examples=micro, processes=self.processes)
        losses, clock = self._prepare(feed, micro), time.perf_counter()
        saving = self.saving or Saving(save=lambda _: "", every_steps=None, every_minutes=None)
        saved_at, saved_time, evaluated_at = self.state.step, time.monotonic(), -1
        epoch = math.ceil(len(self.source) * self.example_tokens / self.settings.batch_tokens)
        every = self.settings.steps_between_validations(epoch if self.judge is not None else None)
        for plan, batches in feed.run(self._plans(micro), self.settings.data_workers):
            waited = time.perf_counter() - clock
            result, norm = self._step(losses, plan, batches)
            shared = self.processes.sum(  # of the clock, the first one's: all have to stand at one place
                {
                    "stop": int(bool(self._stop)),
                    "seconds": (time.perf_counter() - clock) * self.processes.leads,
                    "due": int(self.processes.leads and saving.is_due(self.state.step, saved_at, saved_time)),
                }
            )
            self._interrupted = shared["stop"] > 0
            self._tell(result, norm, plan, seconds=shared["seconds"], waited=waited)
            better = False
            if every and self.state.step % every == 0:
                better = self._validate(micro)
                evaluated_at = self.state.step
            if self._stops or self._is_stale or self.is_over:  # the last save holds what the last validation found
                break
            if better or shared["due"]:
                self._save()
                saved_at, saved_time = self.state.step, time.monotonic()
            clock = time.perf_counter()
        if evaluated_at != self.state.step and (not self._stops or (self.judge is not None and self.is_over)):
            self._validate(micro)
        if saved_at != self.state.step or self.state.step == 0:
            self._save()

    def _prepare(self, feed: Feed, micro: int) -> Losses:
        """Count the work of a batch, say that the run starts, and compile where that was chosen."""
        plan = Plan(position=self.state.position, count=micro * self.processes.world, progress=0.0)
        batch = feed.batches(plan)[0].to(self.choices.device)
        self._meter = Meter.of(self.model, self.layers, batch, self.settings, self.choices)
        steps = self.schedule.steps(self.state.step, self.state.position, plan.count)
        self._emit(self._meter.started(self.state.step, self.processes.world, steps))
        losses, insist = self.model, self.settings.compile == "on"
        if self.choices.compile:
            losses, why_not = compiled(self.model, batch, self.choices, self.processes.any, self._stop, insist=insist)
            if why_not:
                self._emit(Alarm(step=self.state.step, message=why_not))
        return self._parallel.losses(losses, lambda: self.processes.any(has_unused(self.model, batch, self.choices)))

    def _plans(self, micro: int) -> Iterator[Plan]:
        """What each step to come is made of; `micro` examples a micro-batch."""
        step, position = self.state.step, self.state.position
        while not self._is_stale:
            progress = self.schedule.progress(step=step, position=position, seconds=self.state.seconds)
            if progress >= 1:
                return
            count = self.schedule.batch_examples(progress, micro * self.processes.world)
            yield Plan(position=position, count=count, progress=progress)
            step, position = step + 1, position + count

    def _step(self, losses: Losses, plan: Plan, batches: list[Batch]) -> tuple[StepResult, float]:
        """One optimizer step; a bad one is not applied, and raises TrainingAlarm when no more may be skipped."""
        self.optimizer.zero_grad()
        result = backward(
            losses,
            [b.to(self.choices.device) for b in batches],
            self.weights,
            processes=self.processes,
            autocast=self.choices.autocast,
            syncing=self._parallel.syncing,
            seed_micro_batch=lambda n: seed_dropout(self.seed, self.state.step, self.processes.rank, n),
        )
        norm = clip(self.model, self.settings.clip)
        bad = what_is_wrong(result.loss, norm, self.state.recent, self.settings.spike)
        if bad is None:
            self.optimizer.step(self.schedule.learning_rate(plan.progress))
            if self.average is not None:
                self.average.update()
            self.state.recent = [*self.state.recent, result.loss][-SPIKE_WINDOW:]
        else:
            self._alarm(bad, result, norm, plan)
        self.state.step += 1
        self.state.position += plan.count
        self.state.tokens += result.tokens
        return result, norm

    def _alarm(self, bad: str, result: StepResult, norm: float, plan: Plan) -> None:
        """Report a bad step; it is skipped while the settings allow, else the run stops where it stood before."""
        keys = [example.key for example in self.source.examples(plan.position, plan.count)]
        self.state.skipped += 1
        stops = self.state.skipped > self.settings.skip_bad_steps
        number = self.state.step + 1
        message = sentence(number, bad, first=plan.position, last=plan.position + plan.count - 1, stops=stops)
        self._emit(Alarm(step=number, message=message, examples=keys))
        if stops:
            told = self._stepped(result, norm, plan, seconds=0.0, waited=0.0, applied=False)
            self._emit(attrs.evolve(told, step=number))
            self.state.skipped -= 1
            self._save()
            self._settle()
            raise TrainingAlarm(
                f"{message}. Lower train.learning_rate, look at the batch, or set train.skip_bad_steps and resume."
            )

    def _tell(self, result: StepResult, norm: float, plan: Plan, **clocked: float) -> None:
        self.state.seconds += clocked["seconds"]
        self._emit(self._stepped(result, norm, plan, applied=self.state.recent[-1:] == [result.loss], **clocked))

    def _stepped(self, result: StepResult, norm: float, plan: Plan, **measured: Any) -> Stepped:
        rate = self.schedule.learning_rate(plan.progress)
        return self._meter.stepped(self.state, result, norm, progress=self._progress, rate=rate, **measured)

    def _validate(self, micro: int) -> bool:
        """Score every validation set; returns whether the model is the best so far, judged by the first of them.

        A judged run is not stopped in the midst of it: no step that was to be judged is saved before it is.
        """
        better = False
        measuring = self._parallel.measuring(parts=self.judge is not None)
        with self.average.applied() if self.average is not None else nullcontext(), measuring:
            scores = self._validator.scores(
                self.state.step, batch_examples=micro, stop=lambda: self.judge is None and bool(self._stop)
            )
            for number, found in enumerate(scores):
                if self.judge is not None and number == 0:
                    self.state.best = judged(
                        self.state.best, found.step, self.processes.first(self.judge.worth(found)), found.loss
                    )
                    better = self.state.best.step == found.step
                self._emit(attrs.evolve(found, best=better and number == 0))
        self._interrupted = self.processes.any(self._stops or bool(self._stop))
        return better

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self._progress >= 1

    @property
    def _progress(self) -> float:
        state = self.state
        return self.schedule.progress(step=state.step, position=state.position, seconds=state.seconds)

    @property
    def _stops(self) -> bool:
        """Whether a signal came; of several processes, whether all know of it."""
        return self._interrupted or (self.processes.world == 1 and bool(self._stop))

    @property
    def _is_stale(self) -> bool:
        best = self.state.best
        return bool(self.settings.patience) and best is not None and best.stale >= self.settings.patience

    def _save(self) -> None:
        if self.saving is not None:
            begun = time.perf_counter()
            path = self.saving.save(self.snapshot())
            self._emit(Saved(step=self.state.step, path=path, seconds=time.perf_counter() - begun))

    def _settle(self) -> None:
        """Until all is on disk, for all processes: torchrun ends the others as soon as one has left."""
        if self.saving is not None:
            self.saving.finish()
        self._interrupted = self.processes.any(self._interrupted or bool(self._stop))

    def _emit(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)
