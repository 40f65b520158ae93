"""Reporters for lmkit; see `plugin`."""
