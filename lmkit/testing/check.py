"""A check: one promise of an interface, tried on one component. It passes, fails with a reason, or does not apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
import torch

Subject = TypeVar("Subject")
Function = TypeVar("Function", bound=Callable[..., None])


class Failed(AssertionError):
    """A promise that the component does not keep."""

    def __init__(self, wanted: str, came: str, likely: str) -> None:
        super().__init__(f"wanted {wanted}; came {came}; likely {likely}")


class DoesNotApply(Exception):
    """The component does not offer what the check is about; the message says what."""


class Checks(Generic[Subject]):
    """The checks of one kind of component, in the order in which they are written."""

    def __init__(self) -> None:
        self.functions: list[Callable[[Subject], None]] = []

    def add(self, function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        """Decorates a function that raises Failed or DoesNotApply; its name is the check's."""
        self.functions.append(function)
        return function

    def of(self, subject: Subject) -> list[Check]:
        """Each check, ready to be run on `subject`."""
        return [Check(f.__name__, " ".join((f.__doc__ or "").split()), f, subject) for f in self.functions]


@attrs.frozen(eq=False)
class Check:
    """One check of one component; call it."""

    name: str
    promise: str
    """The sentence that it tries."""
    function: Callable[[Any], None] = attrs.field(repr=False)
    subject: Any = attrs.field(repr=False)
    expected_failure: str = ""
    """Why it is expected to fail; then it must."""

    def outcome(self) -> str | None:
        """Run it: None where it passed, or why it does not apply; raises what is wrong with the component."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.random.fork_rng(devices=[]):
                self.function(self.subject)
        except DoesNotApply as reason:
            return str(reason)
        finally:
            torch.set_num_threads(threads)
        return None

    def __call__(self) -> None:
        """Run it as a pytest case: skipped where it does not apply, xfailed where it fails as expected."""
        import pytest

        try:
            skipped = self.outcome()
        except Exception as error:
            if not self.expected_failure:
                raise
            pytest.xfail(f"{self.expected_failure}: {error}")
        if self.expected_failure:
            raise self.unexpected(skipped)
        if skipped is not None:
            pytest.skip(skipped)

    def unexpected(self, skipped: str | None) -> Failed:
        """The error of a check that was expected to fail and did not."""
        came = "a pass" if skipped is None else f"that it does not apply, as {skipped}"
        return Failed(f"{self.name} to fail ({self.expected_failure})", came, "it was mended: expect it no more")


def expect(holds: bool, wanted: str, came: object, likely: str) -> None:
    """Raise Failed unless `holds`."""
    if not holds:
        raise Failed(wanted, str(came), likely)
