"""One batch of 32 rows, or 8 micro-batches of 4: the same step."""

import tempfile
from pathlib import Path

from benchmarks.defects.finding import Finding, relative_difference

CLAIM = "accumulating 8 x 4 rows gives the loss and the gradient norm of 1 x 32"


def trainer() -> Finding:
    import transformers as hf

    from benchmarks.defects import peer

    dropouts = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    distilled = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 64, "dropout": 0.0, "attention_dropout": 0.0}
    tiny = peer.TINY
    models = (
        (hf.BertForMaskedLM, hf.BertConfig(**tiny, **dropouts)),
        (hf.RobertaForMaskedLM, hf.RobertaConfig(**tiny, **dropouts)),
        (hf.DistilBertForMaskedLM, hf.DistilBertConfig(vocab_size=peer.VOCABULARY, **distilled)),
        (hf.ElectraForMaskedLM, hf.ElectraConfig(**tiny, **dropouts, embedding_size=32)),
        (hf.DebertaV2ForMaskedLM, hf.DebertaV2Config(**tiny, **dropouts)),
        (hf.BertForTokenClassification, hf.BertConfig(**tiny, **dropouts, num_labels=peer.VOCABULARY)),
        (hf.ModernBertForMaskedLM, hf.ModernBertConfig(**tiny, pad_token_id=0)),
        (hf.GPT2LMHeadModel, peer.model("clm").config),
    )
    found = {}
    for cls, config in models:
        splits = []
        for rows, count in ((32, 1), (4, 8)):
            hf.set_seed(0)
            with tempfile.TemporaryDirectory() as folder:
                run = peer.trainer(
                    cls(config),
                    Path(folder),
                    data=peer.masked_blocks(),
                    objective=None,
                    per_device_train_batch_size=rows,
                    gradient_accumulation_steps=count,
                    max_steps=1,
                    learning_rate=0.0,
                    max_grad_norm=1e9,
                )
                run.train()
            entry = next(entry for entry in run.state.log_history if "loss" in entry)
            splits.append({"loss": float(entry["loss"]), "grad_norm": float(entry["grad_norm"])})
        found[cls.__name__] = splits
    wrong = [name for name, (whole, split) in found.items() if relative_difference(whole["loss"], split["loss"]) > 1e-3]
    whole, split = found[wrong[0] if wrong else "BertForMaskedLM"]
    return Finding(
        holds=not wrong,
        figures=f"{len(wrong)} of {len(found)} models wrong; {wrong[0] if wrong else 'BertForMaskedLM'}: loss "
        f"{whole['loss']:.4f} -> {split['loss']:.4f}, norm {whole['grad_norm']:.3f} -> {split['grad_norm']:.3f}",
        details=found,
    )


def lmkit() -> Finding:
    from benchmarks.defects import ours

    found, worst = {}, 0.0
    for objective in ours.COMPONENTS:
        splits = []
        for rows in (ours.ROWS, ours.ROWS // 8):
            with tempfile.TemporaryDirectory() as name:
                micro = rows * ours.BLOCK_TOKENS
                recipe = ours.tables(objective, ours.text(Path(name)), steps=3, micro_batch_tokens=micro)
                run = ours.train(Path(name), recipe)
                splits.append([(e["loss"], e["grad_norm"]) for e in ours.events(run.folder, "step")])
        differences = [
            relative_difference(whole, split)
            for pair in zip(*splits, strict=True)
            for whole, split in zip(*pair, strict=True)
        ]
        assert len(differences) == 6
        worst = max(worst, *differences)
        found[objective] = splits
    (loss, norm), (split_loss, split_norm) = found["mlm"][0][0], found["mlm"][1][0]
    return Finding(
        holds=worst <= 1e-6,
        figures=f"2 objectives, 3 steps: at most {worst:.1e} apart; mlm: loss {loss:.7f} -> {split_loss:.7f}, "
        f"norm {norm:.6f} -> {split_norm:.6f}",
        details=found,
    )
