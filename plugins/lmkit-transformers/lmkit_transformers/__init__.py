"""transformers for lmkit: a plugin; see `plugin` for what it adds."""
