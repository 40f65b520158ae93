"""Fine-tuning on real labelled sets, beside classical baselines and transformers' Trainer."""
