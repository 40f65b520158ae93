"""The conformance kit: whether a component does what its interface promises, one named check at a time.

    @pytest.mark.parametrize("check", conformance(MyEncoder, MyEncoder.Config(layers=2, width=32)))
    def test_my_encoder_conforms(check):
        check()

It trains tiny models on one thread, a few seconds a component, and names no component: partners are its own references.
"""

from lmkit.testing.check import Check, Failed
from lmkit.testing.conformance import checks, conformance, run_checks
from lmkit.testing.reference import ByteTokenizer, Continuing, Denoising, NextToken, Prefixed, ReferenceEncoder
from lmkit.testing.results import Report, Result
from lmkit.testing.samples import NAUGHTY_TEXTS, TEXTS, blocks

__all__ = [
    "NAUGHTY_TEXTS",
    "TEXTS",
    "ByteTokenizer",
    "Check",
    "Continuing",
    "Denoising",
    "Failed",
    "NextToken",
    "Prefixed",
    "ReferenceEncoder",
    "Report",
    "Result",
    "blocks",
    "checks",
    "conformance",
    "run_checks",
]
