"""Fine-tuning tasks for lmkit: a plugin; see `plugin` for what it adds."""
