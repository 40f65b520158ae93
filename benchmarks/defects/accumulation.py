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
