"""What plugins build on, and need not use: each module is one noun.

Encoders: `attention` (masks and kernels within packed sequences), `rotary` (positions), `layers` (activations, first
weights), `shape` (the Config that most share), `counterpart` and `renaming` (their twins in transformers).

Objectives: `heads` (what is put on an encoder), `losses` (the vocabulary's cross entropy in chunks), `corruption`
(masks and spans), `scored` (batches that say what is scored), `continuation` (an objective of next tokens).

Tasks: `rows` (reading and answering), `scoring` (how likely a text is), `generation` and `beam` (going on with one),
`sequences` (texts that grow), `pieces` (showing them as they come), `inference` (running without training), `bleu`.

Tokenizers: `subwords` (over the library `tokenizers`).
"""
