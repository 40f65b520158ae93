"""Demo: tells a story of training and asking, chapter by chapter, in a given number of minutes.

The story is data: lmkit/demo/story.toml says which recipes are trained, for which share of the time, and what is asked
of them, so that this file names no component.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from lmkit.config import read, structure
from lmkit.errors import RunError
from lmkit.run.finetune import finetune
from lmkit.run.predict import predict
from lmkit.run.pretrain import pretrain
from lmkit.run.run import Run

_FOLDER = Path(__file__).parent.parent / "demo"
_LEAST_SECONDS = 2.0
_OVERHEAD = 0.12
"""Reading, saving, loading and asking, beside the shares of training."""
_START_SECONDS = 5.0
"""What Python took until the story begins."""


@attrs.frozen(kw_only=True)
class Question:
    """What is asked of a run, and how its answers are shown."""

    say: str
    texts: tuple[str, ...]
    show: str
    """A format string over an answer's keys."""
    options: Mapping[str, Any] = attrs.field(factory=dict)
    """Of the task."""


@attrs.frozen(kw_only=True)
class Chapter:
    """A run that is trained, and what is asked of it."""

    heading: str
    run: str
    """Name of its folder."""
    recipe: str
    """A file beside the story: a task's, where `start` names the run that it begins with."""
    start: str | None = None
    share: float
    """Of the time for training."""
    questions: tuple[Question, ...]


@attrs.frozen(kw_only=True)
class Story:
    """What the demo does, in order."""

    title: str
    chapters: tuple[Chapter, ...]
    next: tuple[str, ...]
    """What to type afterwards."""


class Demo:
    """Trains the story's runs into `folder`, which is new, by default the first free one of runs/demo, runs/demo-2, ...

    Raises RunError for a folder that is there already, and what training raises.
    """

    def __init__(self, folder: Path | None = None, *, minutes: float, quiet: bool = False) -> None:
        self.folder = _free_folder() if folder is None else folder
        if self.folder.exists():
            raise RunError(f"{self.folder}: already there; give the demo another --run")
        self._seconds = 60 * minutes - _START_SECONDS
        self._quiet = quiet
        self._story = structure(Story, read(_FOLDER / "story.toml"), source="story.toml")
        self._answers: dict[str, dict[str, Any]] = {}

    def tell(self) -> Iterator[str]:
        """The story in lines, as it happens; progress of training goes to stderr."""
        begun = time.monotonic()
        yield self._story.title
        for number, chapter in enumerate(self._story.chapters):
            yield f"\n{number + 1}. {chapter.heading}"
            shares = sum(later.share for later in self._story.chapters[number:])
            left = begun + self._seconds - time.monotonic()
            run = self._train(chapter, seconds=left * chapter.share / (shares + _OVERHEAD))
            for question in chapter.questions:
                yield f"   {question.say}:"
                yield from self._ask(run, question)
        yield f"\nDone in {time.monotonic() - begun:.0f} s. The runs are in {self.folder}. What to type next:"
        for line in self._story.next:
            yield f"  {line.format(folder=self.folder)}"

    def data(self) -> dict[str, Any]:
        """The folders that were made, and all answers; tells the story to nobody."""
        begun = time.monotonic()
        for _ in self.tell():
            pass
        runs = {chapter.run: str(self.folder / chapter.run) for chapter in self._story.chapters}
        return {"runs": runs, "answers": self._answers, "seconds": round(time.monotonic() - begun, 1)}

    def _train(self, chapter: Chapter, *, seconds: float) -> Run:
        recipe, run = _FOLDER / chapter.recipe, self.folder / chapter.run
        changes = [f"train.minutes={max(seconds, _LEAST_SECONDS) / 60}"]
        if chapter.start is None:
            return pretrain(recipe, run=run, overrides=changes, quiet=self._quiet)
        return finetune(self.folder / chapter.start, recipe, run=run, overrides=changes, quiet=self._quiet)

    def _ask(self, run: Run, question: Question) -> Iterator[str]:
        answers = predict(run, texts=question.texts, **question.options)
        for text, answer in zip(question.texts, answers, strict=True):
            self._answers.setdefault(run.folder.name, {})[text] = answer
            yield f"     {question.show.format(**answer)}".replace("\n", " / ")


def _free_folder() -> Path:
    folder, number = Path("runs/demo"), 1
    while folder.exists():
        number += 1
        folder = Path(f"runs/demo-{number}")
    return folder
