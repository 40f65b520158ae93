"""Do every fault of the plan, and print a table of what was seen.

    python -m tests.faults [quick|nightly|release] [--rows 1 2 ...] [--report FILE] [--jobs 2]

`quick` takes minutes, `nightly` an hour or two, `release` many hours.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.conftest import TIERS
from tests.faults.plan import PLAN, Row

ROOT = Path(__file__).parents[2]


class Seen:
    """What pytest tells of each test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.seconds: Counter[str] = Counter()
        self.properties: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome
            self.properties[report.nodeid] = dict(report.user_properties)

    def of(self, row: Row) -> list[str]:
        """The tests of a row that were run."""
        return [node for node in self.outcomes if node.startswith(row.tests)]


def functions(rows: Sequence[Row]) -> list[str]:
    """Files of tests, and test functions in them, that these rows name."""
    found: dict[str, None] = {}
    for test in (test for row in rows for test in row.tests):
        path, _, name = test.partition("::")
        there = re.findall(r"^def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE) if name else []
        found |= dict.fromkeys([f"{path}::{one}" for one in there if one.startswith(name)] if name else [path])
    return list(found)


def line(row: Row, seen: Seen) -> str:
    """A row of the table."""
    nodes = seen.of(row)
    counts = Counter(seen.outcomes[node] for node in nodes)
    told = [seen.properties[node] for node in nodes if seen.outcomes[node] == "passed"]
    cases = sum(int(str(some.get("cases", 1))) for some in told)
    figures: dict[str, list[str]] = {}
    for some in told:
        for name, value in some.items():
            if name != "cases":
                figures.setdefault(name, []).append(str(value))
    notes = [f"{name}: {', '.join(values)}" for name, values in figures.items()]
    notes += [f"{counts['failed']} FAILED"] * bool(counts["failed"]) + [
        f"{counts['skipped']} not possible here"
    ] * bool(counts["skipped"])
    seconds = sum(seen.seconds[node] for node in nodes)
    return f"| {row.number} | {row.fault} | {row.happens} | {cases:,} | {seconds:,.0f} | {'; '.join(notes)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tier", nargs="?", choices=TIERS, default=TIERS[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[row.number for row in PLAN])
    parser.add_argument("--report", type=Path, help="where the table is written too")
    parser.add_argument("--jobs", default="2", help="how many at once")
    asked = parser.parse_args()
    rows = [row for row in PLAN if row.number in asked.rows]
    os.environ["LMKIT_FAULTS"] = asked.tier
    begun, seen = time.monotonic(), Seen()
    status = pytest.main(["-q", "-p", "no:cacheprovider", "-n", asked.jobs, *functions(rows)], plugins=[seen])
    table = [
        "| # | what is done | what happens | cases | seconds | seen |",
        "|---|---|---|---|---|---|",
        *(line(row, seen) for row in rows),
        "",
        f"{asked.tier}, {len(seen.outcomes)} tests, {(time.monotonic() - begun) / 60:.0f} minutes.",
    ]
    text = "\n".join(table) + "\n"
    sys.stdout.write(f"\n{text}")
    if asked.report:
        asked.report.write_text(text, encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
