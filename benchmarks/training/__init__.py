"""Training rows: the same architecture, text, batch and masking rate, by lmkit and by the loops that people use."""
