"""Two documents in one row: changing the first changes no state of the second."""

from benchmarks.defects.finding import Finding

CLAIM = "documents packed into one row do not see each other"


def told(changes: dict[str, float]) -> Finding:
    """A Finding from case -> the largest change of a state of the second document."""
    leaks = {case: change for case, change in changes.items() if change > 1e-5}
    worst = max(changes, key=lambda case: changes[case])
    return Finding(
        holds=not leaks,
        figures=f"{len(leaks)} of {len(changes)} cases leak; most, {worst}: states move by {changes[worst]:.3g}",
        details=changes,
    )


def trainer() -> Finding:
    """Position ids that begin anew with each document, which is how its collators mark borders."""
    import torch
    import transformers as hf

    from benchmarks.defects import peer

    generator = torch.Generator().manual_seed(0)
    row = torch.randint(5, peer.VOCABULARY, (1, 16), generator=generator)
    other = row.clone()
    other[:, :8] = torch.randint(5, peer.VOCABULARY, (1, 8), generator=generator)
    positions = torch.arange(8).repeat(2)[None]
    torch.manual_seed(0)
    models = {
        "ModernBERT": hf.ModernBertModel(hf.ModernBertConfig(**peer.TINY, pad_token_id=0)),
        "BERT": hf.BertModel(hf.BertConfig(**peer.TINY)),
        "Llama": hf.LlamaModel(hf.LlamaConfig(**peer.TINY, num_key_value_heads=2, use_cache=False)),
    }
    changes = {}
    for name, model in models.items():
        model.eval()
        for told_mask, mask in (("no mask", None), ("a mask of ones", torch.ones(1, 16, dtype=torch.long))):
            with torch.no_grad():
                second = [
                    model(input_ids=ids, position_ids=positions, attention_mask=mask).last_hidden_state[:, 8:]
                    for ids in (row, other)
                ]
            changes[f"{name}, {told_mask}"] = (second[0] - second[1]).abs().max().item()
    return told(changes)


def lmkit() -> Finding:
    """Borders travel with the batch, so that nothing has to be inferred."""
    import tempfile
    from pathlib import Path

    import numpy as np
    import torch

    from benchmarks.defects import ours
    from lmkit.batch import Example, pack

    changes = {}
    for objective in ours.COMPONENTS:
        with tempfile.TemporaryDirectory() as name:
            run = ours.train(Path(name), ours.tables(objective, ours.text(Path(name)), steps=1))
        generator = np.random.default_rng(0)
        vocabulary = run.tokenizer.vocabulary
        row = generator.integers(5, vocabulary.size, 16)
        other = row.copy()
        other[:8] = generator.integers(5, vocabulary.size, 8)
        encoder = run.module.encoder.eval()
        for attention in sorted(encoder.attention - {"mixed"}):
            with torch.no_grad():
                states = []
                for tokens in (row, other):
                    example = Example(tokens=tokens, lengths=(8, 8))
                    inputs, _ = pack([example], attention=attention, filler=vocabulary.special["pad"])
                    states.append(encoder(inputs))
            first, second = (states[0] - states[1]).abs().split((8, len(states[0]) - 8))
            assert first.max() > 0, "the first document did not change: nothing was tried"
            changes[f"{encoder.name}, {attention}"] = second.max().item()
    return told(changes)
