"""Every component of this distribution keeps every promise of its interface: nothing is expected to fail."""

import pytest
from lmkit_electra.rtd import ReplacedTokenDetection

from lmkit.testing import Check, conformance


@pytest.mark.parametrize("check", conformance("lmkit_electra.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(ReplacedTokenDetection))
def test_rtd_conforms(check: Check) -> None:
    check()
