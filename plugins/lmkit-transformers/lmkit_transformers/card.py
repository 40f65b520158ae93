"""Card: the README.md of an exported folder, with the data, the recipe, the curves and the versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tomli_w
from huggingface_hub import ModelCard, ModelCardData

from lmkit.interfaces import History

_MOST_ROWS = 12  # of a curve
_PIPELINES = {
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForConditionalGeneration": "translation",
}


def card(history: History, found: Mapping[str, Any], *, parameters: int) -> ModelCard:
    """The card of an exported model; `found` is what its export found."""
    pipeline = next((name for end, name in _PIPELINES.items() if found["class"].endswith(end)), "feature-extraction")
    data = ModelCardData(library_name="transformers", pipeline_tag=pipeline, tags=["lmkit"], model_name=history.name)
    lines = [
        f"# {history.name}",
        "",
        f"A `{found['class']}` of {parameters:,} parameters, trained with lmkit and exported from it.",
        f"Loaded back with transformers, its scores differ from lmkit's by at most {found['largest_difference']:.1e}.",
        *_left_out(found["left_out"]),
        *_section("Data", _data(history.recipe)),
        *_section("Recipe", ["```toml", tomli_w.dumps(dict(history.recipe)).strip(), "```"]),
        *_section("Training", _curve(history.events)),
        *_section("Made with", _versions(history)),
    ]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n")


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _left_out(names: Sequence[str]) -> list[str]:
    """What the class has no place for, by the first part of the name."""
    if not names:
        return []
    return ["", f"Weights without a place in that class were left out: {', '.join(f'`{n}`' for n in _short(names))}."]


def _short(names: Sequence[str]) -> list[str]:
    return [*names[:3], f"and {len(names) - 3} more"] if len(names) > 3 else [*names]


def _data(recipe: Mapping[str, Any]) -> list[str]:
    data = recipe.get("data")
    if not isinstance(data, Mapping):
        origin = recipe.get("imported", {})
        return [f"Imported from `{origin.get('path', 'elsewhere')}`; what it was trained on is not known here."]
    return [f"Trained on {_sources(data.get('train', []))}; validated on {_validation(data.get('validation'))}."]


def _sources(some: Sequence[Any]) -> str:
    paths = [source.get("path", "") if isinstance(source, Mapping) else source for source in some]
    return ", ".join(f"`{path}`" for path in paths)


def _validation(asked: Any) -> str:
    if isinstance(asked, float):
        return f"a share of {asked:g} that was held out of it"
    if isinstance(asked, Mapping):
        return "; ".join(f"{name}: {_sources(paths)}" for name, paths in asked.items()) or "nothing"
    return _sources(asked) if isinstance(asked, list) and asked else "nothing"


def _curve(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Losses over the steps, a few of them, and what validation found."""
    steps = [event for event in events if event.get("event") == "step" and _number(event.get("loss"))]
    found = [event for event in events if event.get("event") == "evaluated"]
    lines = []
    if steps:
        last = steps[-1]
        lines += [
            f"{last['step']:,} steps, {last['tokens']:,} tokens, {last['seconds'] / 60:,.1f} minutes of steps.",
            "",
            "| step | tokens | loss |",
            "|---|---|---|",
            *(f"| {event['step']:,} | {event['tokens']:,} | {event['loss']:.4f} |" for event in _some(steps)),
        ]
    if found:
        lines += ["", "| step | validation | |", "|---|---|---|", *(_evaluated(event) for event in _some(found))]
    return lines or ["No steps were recorded."]


def _evaluated(event: Mapping[str, Any]) -> str:
    terms = ", ".join(f"{name} {value:.4f}" for name, value in event.get("terms", {}).items() if _number(value))
    return f"| {event['step']:,} | {event.get('name', '')} | {terms} |"


def _some(events: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """At most so many of them, evenly, the last always."""
    many = min(len(events), _MOST_ROWS)
    yield from (events[(n + 1) * len(events) // many - 1] for n in range(many))


def _versions(history: History) -> list[str]:
    parts = [f"- {c['kind']} `{c['name']}`: {c['distribution']} {c['version']}" for c in history.components]
    return [*parts, *(f"- {name}: {value}" for name, value in history.environment.items())]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
