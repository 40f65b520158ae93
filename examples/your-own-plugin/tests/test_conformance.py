"""The encoder and the objective keep every promise of their interfaces: nothing is expected to fail."""

import pytest
from lmkit_ripple.encoder import Ripple
from lmkit_ripple.objective import Reorder

from lmkit.testing import Check, conformance


@pytest.mark.parametrize("check", conformance("lmkit_ripple.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Ripple))
def test_ripple_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Reorder))
def test_reorder_conforms(check: Check) -> None:
    check()
