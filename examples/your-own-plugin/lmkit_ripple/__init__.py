"""Gated convolutions and shuffled words for lmkit; see `plugin`."""
