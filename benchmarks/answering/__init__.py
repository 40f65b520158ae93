"""Fine-tuning, prediction and generation: the same weights and texts by lmkit and by transformers."""
