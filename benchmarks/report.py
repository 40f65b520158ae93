"""A measured row as two files: Markdown to read, JSON with every figure and the full configs to check it by."""

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from benchmarks.measure import Measurement

REPORTS = Path(__file__).parent / "reports"


def write(name: str, markdown: str, figures: Mapping[str, Any], folder: Path = REPORTS) -> Path:
    """Write <date>-<name>.md and .json; returns the Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y-%m-%d}-{name}.md"
    path.write_text(markdown, encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return path


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(name: str, about: str, unit: str, measurements: Sequence[Measurement], machine: Mapping[str, Any]) -> str:
    """The Markdown of a row; ratios are of medians, each side of lmkit against each peer."""
    rates = {m.contender: [o.rate for o in measurements if o.contender == m.contender] for m in measurements}
    medians = {contender: statistics.median(values) for contender, values in rates.items()}
    peers = [contender for contender in medians if not contender.startswith("lmkit")]
    newest = {m.contender: m.result for m in measurements}
    peak = max(machine["matrix_peak_flops"].values())
    counts = any("flops" in result for result in newest.values())
    rows = []
    for contender, values in rates.items():
        median, result = medians[contender], newest[contender]
        peak_mb = statistics.median(m.peak_mb for m in measurements if m.contender == contender)
        ours = contender.startswith("lmkit")
        ratios = [f"{median / medians[peer]:.1f}x" if ours else "" for peer in peers]
        rates_told = [told(figure) for figure in (median, min(values), max(values))]
        share = [f"{result['flops'] * median / peak:.0%}" if "flops" in result else ""] if counts else []
        rows.append(
            [contender, *rates_told, f"{1000 * result['work'] / median:,.0f}", *share, f"{peak_mb:,.0f}", *ratios]
        )
    header = [
        "",
        f"{unit}/s, median",
        "lowest",
        "highest",
        "ms a step",
        *(["of the matrix peak"] if counts else []),
        "peak MB",
        *(f"against {peer}" for peer in peers),
    ]
    peaks = ", ".join(f"{precision} {flops / 1e12:.2f}" for precision, flops in machine["matrix_peak_flops"].items())
    configs = {m.contender: m.result["config"] for m in measurements}
    counted = (
        " The share of the matrix peak counts the matrix products that a side really does, forward and backward, "
        "against the larger peak below."
    )
    return f"""# {name}

{about}

{table(header, rows)}

{len(measurements) // len(rates)} runs of each, in turns, each a process of its own; a run's figure is its median \
step, after warm-up.{counted if counts else ""}

Machine: {machine["processor"]}, {machine["cores"]} cores, {" ".join(machine["matrix_units"])}, \
{machine["memory_gb"]} GB; matrix peak in TFLOP/s: {peaks}; load at the start {machine["load"][0]:.1f}.

Versions: {", ".join(f"{package} {version}" for package, version in machine["versions"].items() if version)}.

```json
{json.dumps(configs, indent=1)}
```
"""


def told(figure: float) -> str:
    """With three digits at least."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def figures(measurements: Sequence[Measurement], machine: Mapping[str, Any]) -> dict[str, Any]:
    """All that was measured."""
    return {"machine": dict(machine), "measurements": [attrs.asdict(measurement) for measurement in measurements]}
