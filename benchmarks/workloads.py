"""The training rows: what each trains, by which components of lmkit."""

import attrs


@attrs.frozen(kw_only=True)
class Workload:
    """An objective on an encoder, which the peer has too."""

    model: str
    """For people."""
    encoder: str
    objective: str
    objective_fields: str = ""
    tokenizer: str
    tokenizer_fields: str = ""


WORKLOADS = {
    "mlm-4x256": Workload(
        model="BERT, masked language modelling",
        encoder="bert",
        objective="mlm",
        objective_fields="rate = 0.15",
        tokenizer="wordpiece",
    ),
    "clm-4x256": Workload(model="GPT-2, causal language modelling", encoder="gpt2", objective="clm", tokenizer="bpe"),
    "mlm-modernbert-4x256": Workload(
        model="ModernBERT, masked language modelling",
        encoder="modernbert",
        objective="mlm",
        objective_fields="rate = 0.15",
        tokenizer="wordpiece",
    ),
    "clm-qwen3-4x256": Workload(
        model="Qwen3, causal language modelling", encoder="qwen3", objective="clm", tokenizer="bpe"
    ),
    "denoising-t5-4x256": Workload(
        model="T5 (encoder and decoder of 4 layers each), span denoising",
        encoder="t5",
        objective="span-denoising",
        tokenizer="bpe",
        tokenizer_fields="marks = 100",
    ),
}
