"""Every component of this distribution keeps every promise of its interface: nothing is expected to fail."""

import pytest
from lmkit_hybrid.hybrid import Hybrid

from lmkit.testing import Check, conformance


@pytest.mark.parametrize("check", conformance("lmkit_hybrid.plugin"))
def test_the_plugin_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Hybrid))
def test_hybrid_conforms(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", conformance(Hybrid, Hybrid.Config(causal_share=0.5, unit="span")))
def test_hybrid_of_many_causal_rows_conforms(check: Check) -> None:
    check()
