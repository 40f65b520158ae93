"""Window: what is read at once of a row that is too long."""

from __future__ import annotations

import attrs

from lmkit.batch import Example


@attrs.frozen(eq=False)
class Window:
    """Something that is read at once."""

    example: Example

    @property
    def tokens(self) -> int:
        """How many it has."""
        return len(self.example.tokens)
