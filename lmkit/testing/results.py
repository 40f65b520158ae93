"""What the checks of a component found, for those who have no pytest: `lmkit plugins check` prints it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from lmkit.testing.check import Check


@attrs.frozen(kw_only=True)
class Result:
    """What one check found."""

    name: str
    promise: str
    """The sentence that was tried."""
    passed: bool
    """Whether all is well: also where the check does not apply, or failed as it was expected to."""
    skipped: bool
    """Whether it does not apply."""
    reason: str
    """Why it failed, was skipped, or was expected to fail; empty for a plain pass."""
    seconds: float


@attrs.frozen(kw_only=True)
class Report:
    """What all checks of a component found."""

    component: str
    results: Sequence[Result]

    @property
    def passed(self) -> bool:
        """Whether every check passed, and at least one was run."""
        return self.ran > 0 and all(result.passed for result in self.results)

    @property
    def ran(self) -> int:
        """Checks that were run: those that do not apply are not counted."""
        return sum(not result.skipped for result in self.results)

    @property
    def failures(self) -> list[Result]:
        """The results that did not pass."""
        return [result for result in self.results if not result.passed]

    def __str__(self) -> str:
        lines = [f"{_mark(r)} {r.name} ({r.seconds:.1f} s){': ' if r.reason else ''}{r.reason}" for r in self.results]
        skipped = len(self.results) - self.ran
        lines.append(
            f"{self.component}: {self.ran} checks ran, {len(self.failures)} failed, {skipped} do not apply, "
            f"in {sum(r.seconds for r in self.results):.1f} s"
        )
        return "\n".join(lines)


def report(component: str, checks: Sequence[Check]) -> Report:
    """Run every check."""
    return Report(component=component, results=[_result(check) for check in checks])


def _result(check: Check) -> Result:
    begun = time.perf_counter()
    skipped, wrong = None, ""
    try:
        skipped = check.outcome()
    except AssertionError as error:
        wrong = str(error) or "an assertion failed"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if check.expected_failure:
        passed = bool(wrong)
        reason = f"expected, {check.expected_failure}: {wrong}" if wrong else str(check.unexpected(skipped))
    else:
        passed, reason = not wrong, wrong or skipped or ""
    return Result(
        name=check.name,
        promise=check.promise,
        passed=passed,
        skipped=skipped is not None,
        reason=reason,
        seconds=time.perf_counter() - begun,
    )


def _mark(result: Result) -> str:
    if not result.passed:
        return "FAILED "
    return "skipped" if result.skipped else "passed "
