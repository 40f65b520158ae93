"""Sentences with unfamiliar words, for lmkit: a plugin; see `plugin` for what it adds."""
