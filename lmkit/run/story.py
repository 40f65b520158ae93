"""Story: all that a run's folder says of it, as plain data: what a report and a comparison are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lmkit.checkpoint import newest
from lmkit.config import read
from lmkit.data.store import store_folder
from lmkit.errors import IntegrityError, LmkitError
from lmkit.recipe import Chosen, read_finetuning, read_pretraining
from lmkit.report.metrics import read_metrics
from lmkit.run.export import discreet
from lmkit.run.folder import METRICS, config_of
from lmkit.run.recorded import require_sound

_WATTS_A_CORE = 10.0
"""A server's core under load, its share of memory and supply included: the order of magnitude, no more."""


@attrs.frozen(kw_only=True)
class Story:
    """A run, told from its folder; nothing is loaded that could run."""

    name: str
    """Of its folder."""
    recipe: Mapping[str, Any]
    """config.toml as tables, paths cut to their last parts."""
    changed: Mapping[str, Any]
    """Keys that differ from their defaults, or have none."""
    steps: Sequence[Mapping[str, Any]]
    """Lines of metrics.jsonl of each step."""
    validations: Mapping[str, Sequence[Mapping[str, Any]]]
    """Lines of each validation set."""
    alarms: Sequence[str]
    samples: Sequence[Mapping[str, Any]]
    """What the model answered on the way."""
    started: Mapping[str, Any]
    """The last line that said so: parameters, device, precision, threads."""
    finished: Mapping[str, Any]
    """The last line that said so; empty while it runs."""
    components: Sequence[Mapping[str, Any]]
    environment: Mapping[str, Any]
    tokens_at: Mapping[int, int]
    """Tokens after each step, applied or not."""
    passport: Sequence[Mapping[str, Any]]
    """Of each source: path, licence, weight; of each store: fingerprint, documents, tokens, bytes."""

    @property
    def seconds(self) -> float:
        """Of its steps."""
        return float(self.steps[-1]["seconds"]) if self.steps else 0.0

    @property
    def watt_hours(self) -> float:
        """An estimate: so many watts for each thread of each process, while it trained."""
        cores = self.started.get("threads", 1) * self.started.get("processes", 1)
        return float(self.seconds / 3600 * cores * _WATTS_A_CORE)

    def best(self) -> dict[str, Mapping[str, Any]]:
        """Of each validation set the line that was found best, or else the last."""
        return {
            name: next((line for line in reversed(lines) if line.get("best")), lines[-1])
            for name, lines in self.validations.items()
        }


def story(run: Path | str) -> Story:
    """What the folder of a run tells; raises RunError where it is none."""
    folder = Path(run)
    path, is_finetuning = config_of(folder)
    events = [event for event in read_metrics(folder / METRICS) if _is_whole(event)]
    of = {kind: [event for event in events if event["event"] == kind] for kind in {e["event"] for e in events}}
    sets: dict[str, list[Mapping[str, Any]]] = {}
    for event in of.get("evaluated", []):
        sets.setdefault(event["name"], []).append(event)
    try:
        checkpoint = newest(folder, warn=lambda _: None)
        if checkpoint is not None:
            require_sound(checkpoint)
    except IntegrityError:
        checkpoint = None
    recipe = read(path)
    last: Mapping[str, Any] = next(
        (event for event in reversed(events) if event["event"] in ("started", "finished")), {}
    )
    return Story(
        name=folder.resolve().name,
        recipe=discreet(recipe),
        changed=discreet(dict(_changed(path, is_finetuning)) or dict(_flat(recipe))),
        steps=[event for event in of.get("step", []) if event.get("applied", True)],
        validations=sets,
        alarms=[event["message"] for event in of.get("alarm", [])],
        samples=of.get("sampled", []),
        started=of["started"][-1] if "started" in of else {},
        finished=last if last.get("event") == "finished" else {},
        components=checkpoint.components if checkpoint else (),
        environment=checkpoint.state["environment"] if checkpoint else {},
        tokens_at={event["step"]: event["tokens"] for event in of.get("step", [])},
        passport=[*_sources(recipe), *_stores(checkpoint.state["data"] if checkpoint else {})],
    )


_NUMBERS = {
    "step": ("tokens", "seconds", "loss", "learning_rate", "tokens_per_second"),
    "evaluated": ("loss",),
    "started": ("threads",),
}
_WORDS = {"evaluated": ("name",), "sampled": ("asked", "answered"), "alarm": ("message",)}


def _is_whole(event: Mapping[str, Any]) -> bool:
    """Whether a line has what is told of it: anybody may have written into a run's folder."""
    kind = event["event"]
    if not isinstance(kind, str) or (kind == "evaluated" and not isinstance(event.get("terms"), Mapping)):
        return False
    numbers = all(isinstance(event.get(name), (int, float)) for name in _NUMBERS.get(kind, ()))
    return numbers and all(isinstance(event.get(name), str) for name in _WORDS.get(kind, ()))


def _changed(path: Path, is_finetuning: bool) -> Iterator[tuple[str, Any]]:
    """Each key of a config.toml whose value is not the default; none where a plugin of it is missing."""
    try:
        found = (read_finetuning if is_finetuning else read_pretraining)(path, recorded=True)
    except LmkitError:
        return
    for section, value in attrs.asdict(found, recurse=False).items():
        if isinstance(value, Chosen):
            yield f"{section}.use", value.component.use
            yield from _differing(section, value.config)
        elif attrs.has(type(value)):
            yield from _differing(section, value)
        elif section == "seed":
            yield section, value


def _differing(section: str, config: Any) -> Iterator[tuple[str, Any]]:
    for field in attrs.fields(type(config)):
        value, default = getattr(config, field.name), field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = attrs.NOTHING if default.takes_self else default.factory()
        if value != default and value is not None:
            yield f"{section}.{field.alias}", _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if attrs.has(type(value)):
        return {key: _plain(item) for key, item in attrs.asdict(value, recurse=False).items()}
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _sources(recipe: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    data = recipe.get("data")
    for source in data.get("train", []) if isinstance(data, Mapping) else []:
        said = source if isinstance(source, Mapping) else {"path": source}
        path = discreet(str(said.get("path")))
        yield {"source": path, "licence": said.get("licence", "not said"), "weight": said.get("weight", 1)}


def _stores(fingerprints: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is known of the tokens that were read: by their fingerprints, and where they are still there, their size."""
    from lmkit.data.store import open_store

    named = [("train", value) for value in fingerprints.get("train", []) if isinstance(value, str)]
    validation = fingerprints.get("validation", {})
    named += validation.items() if isinstance(validation, Mapping) else []
    named += [("examples", fingerprints["examples"])] if "examples" in fingerprints else []
    for name, fingerprint in named:
        told: dict[str, Any] = {"tokens of": name, "fingerprint": str(fingerprint)[:16]}
        try:
            if store_folder(str(fingerprint)).is_dir():
                store = open_store(str(fingerprint))
                told |= {"documents": store.documents, "tokens": store.total_tokens, "bytes": store.total_bytes}
        except LmkitError:
            pass
        yield told
