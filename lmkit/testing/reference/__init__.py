"""One tiny component of each kind, of the kit's own: partners for what is tested, and the shortest whole examples.

They are made to be right and quick at 64 dimensions, not to be good at language.
"""

from lmkit.testing.reference.encoder import ReferenceEncoder, ShortEncoder
from lmkit.testing.reference.objectives import Continuing, Denoising, Prefixed
from lmkit.testing.reference.task import NextToken
from lmkit.testing.reference.tokenizer import ByteTokenizer

__all__ = ["ByteTokenizer", "Continuing", "Denoising", "NextToken", "Prefixed", "ReferenceEncoder", "ShortEncoder"]
