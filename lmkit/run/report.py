"""report and compare: a run's story as a page, and several side by side."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.config import dumps
from lmkit.errors import ConfigError, FitError, RunError
from lmkit.report.curves import Curve, drawn, sparkline
from lmkit.report.notebook import Shown, table
from lmkit.report.page import Table, page
from lmkit.report.sentences import duration
from lmkit.run.story import Story, story

REPORT = "report.html"


def write_report(run: Path | str, *, out: Path | str | None = None) -> Path:
    """Write a run's report, one page that opens from disk, into its folder or to `out`; returns the file.

    Raises RunError where the folder is no run; FitError where matplotlib is not installed.
    """
    _require_matplotlib()
    told = story(run)
    html = page(title=told.name, facts=_facts(told), parts=[part for part in _parts(told) if len(part) > 1])
    return _written(html, Path(out) if out is not None else Path(run) / REPORT)


def compare(runs: Sequence[Path | str], *, out: Path | str | None = None) -> Shown:
    """How several runs differ: their configs, their curves and what validation found; `out` is an HTML file to write.

    Raises ConfigError for fewer than two, RunError where a folder is no run.
    """
    if len({Path(run).resolve() for run in runs}) < max(2, len(runs)):
        raise ConfigError(
            "compare", [f"expected two different runs or more, got {', '.join(map(str, runs)) or 'none'}"]
        )
    stories = {_name(run, runs): story(run) for run in runs}
    found = {
        "runs": {name: dict(_summary(one)) for name, one in stories.items()},
        "differences": _differences({name: one.changed for name, one in stories.items()}),
        "curves": {name: sparkline([float(step["loss"]) for step in one.steps]) for name, one in stories.items()},
    }
    if out is not None:
        _require_matplotlib()
        html = page(title=" and ".join(stories), facts={"runs": len(stories)}, parts=list(_compared(stories, found)))
        found["page"] = str(_written(html, Path(out)))
    return Shown(found, _side_by_side(found))


def _name(run: Path | str, runs: Sequence[Path | str]) -> str:
    """The folder's own name, or all that was typed where several are called so."""
    name = Path(run).resolve().name
    return name if sum(Path(other).resolve().name == name for other in runs) == 1 else str(run)


def _require_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise FitError("curves are drawn by matplotlib, which is not installed: pip install 'lmkit[report]'")


def _written(html: str, path: Path) -> Path:
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def _facts(told: Story) -> dict[str, Any]:
    last = told.steps[-1] if told.steps else {}
    return {
        "steps": last.get("step"),
        "tokens": last.get("tokens"),
        "last loss": last.get("loss"),
        "training": duration(told.seconds),
        "tokens/s, median": _median(told),
        "parameters trained": told.started.get("parameters"),
        "ended": told.finished.get("reason", "not yet"),
    }


def _median(told: Story) -> float | None:
    rates = sorted(step["tokens_per_second"] for step in told.steps)
    return rates[len(rates) // 2] if rates else None


def _parts(told: Story) -> Iterator[dict[str, Any]]:
    yield {"heading": "Curves", **({"figures": list(_figures({told.name: told}))} if told.steps else {})}
    if told.validations:
        yield {"heading": "Validation", "tables": [_validations(name, told) for name in told.validations]}
    if told.samples:
        rows = [(line["step"], line["asked"], line["answered"]) for line in told.samples]
        yield {"heading": "Answers on the way", "tables": [(("step", "asked", "answered"), rows)]}
    if told.alarms:
        yield {"heading": "Alarms", "text": told.alarms}
    yield {
        "heading": "What differs from the defaults",
        "tables": [(("key", "value"), list(told.changed.items()))],
    }
    yield {"heading": "Data", "tables": list(_passport(told.passport))}
    names = ("kind", "name", "distribution", "version")
    yield {
        "heading": "Made with",
        "tables": [
            (names, [[part.get(name) for name in names] for part in told.components]),
            (("environment", ""), list(told.environment.items())),
        ],
    }
    yield {
        "heading": "Cost",
        "text": [
            f"{duration(told.seconds)} of training, without validation, saving and compiling.",
            f"Some {told.watt_hours:,.2g} Wh, if a core under load takes 10 watts.",
        ],
    }
    yield {"heading": "config.toml", "code": dumps(told.recipe)}


def _figures(stories: Mapping[str, Story]) -> Iterator[str]:
    losses = {name: [(step["tokens"], step["loss"]) for step in one.steps] for name, one in stories.items()}
    yield drawn(losses, title="Training loss", x="tokens", y="loss")
    found: dict[str, Curve] = {}
    for name, one in stories.items():
        tokens = one.tokens_at
        for which, lines in one.validations.items():
            label = which if len(stories) == 1 else f"{name}: {which}"
            found[label] = [(tokens.get(line["step"], 0), line["loss"]) for line in lines]
    if found:
        yield drawn({}, points=found, title="Validation loss", x="tokens", y="loss")
    speeds = {name: [(step["step"], step["tokens_per_second"]) for step in one.steps] for name, one in stories.items()}
    yield drawn(speeds, title="Speed", x="step", y="tokens/s")
    rates = {name: [(step["step"], step["learning_rate"]) for step in one.steps] for name, one in stories.items()}
    yield drawn(rates, title="Learning rate", x="step", y="of AdamW")


def _validations(name: str, told: Story) -> Table:
    lines = told.validations[name]
    terms = list(dict.fromkeys(term for line in lines for term in line["terms"]))
    rows = [
        [line["step"], line["loss"], *(line["terms"].get(term) for term in terms), "best" if line.get("best") else ""]
        for line in lines
    ]
    return (f"{name}: step", "loss", *terms, ""), rows


def _passport(entries: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    for first in ("source", "tokens of"):
        some = [entry for entry in entries if first in entry]
        if some:
            names = list(dict.fromkeys(name for entry in some for name in entry))
            yield names, [[entry.get(name) for name in names] for entry in some]


def _summary(told: Story) -> Iterator[tuple[str, Any]]:
    last = told.steps[-1] if told.steps else {}
    yield "steps", last.get("step", 0)
    yield "tokens", last.get("tokens", 0)
    yield "loss", last.get("loss")
    yield "tokens_per_second", _median(told)
    yield "minutes", told.seconds / 60
    yield "parameters", told.started.get("parameters")
    for name, line in told.best().items():
        yield f"{name}.loss", line["loss"]
        yield from (
            (f"{name}.{term}", value) for term, value in line["terms"].items() if "." in term or len(line["terms"]) > 1
        )


def _differences(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each key that is not alike in all, with its value in each; None: the default."""
    keys = list(dict.fromkeys(key for config in configs.values() for key in config))
    values = {key: {name: config.get(key) for name, config in configs.items()} for key in keys}
    return {key: of for key, of in values.items() if len({str(value) for value in of.values()}) > 1}


def _side_by_side(found: Mapping[str, Any]) -> str:
    """For notebooks."""
    names = list(found["runs"])
    return table(("", *names), _measures(found)) + table(
        ("key", *names), [[key, *(of[name] for name in names)] for key, of in found["differences"].items()]
    )


def _measures(found: Mapping[str, Any]) -> list[list[Any]]:
    measures = list(dict.fromkeys(key for one in found["runs"].values() for key in one))
    return [[measure.replace("_", " "), *(one.get(measure) for one in found["runs"].values())] for measure in measures]


def _compared(stories: Mapping[str, Story], found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = list(stories)
    yield {"heading": "Side by side", "tables": [(("", *names), _measures(found))]}
    if any(one.steps for one in stories.values()):
        yield {"heading": "Curves", "figures": list(_figures(stories))}
    different = [[key, *(of[n] for n in names)] for key, of in found["differences"].items()]
    yield {"heading": "Where their configs differ", "tables": [(("key", *names), different)]}
