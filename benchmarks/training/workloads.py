"""The training rows: what each trains, in which shape, by which components of lmkit."""

import attrs


@attrs.frozen(kw_only=True)
class Shape:
    """Of a model and of the steps that train it; both sides of a row have the same."""

    layers: int
    width: int
    vocabulary: int
    block_tokens: int
    rows: int
    """Blocks of a step."""
    steps: int = 30
    """That are measured."""

    @property
    def heads(self) -> int:
        return self.width // 64

    @property
    def step_tokens(self) -> int:
        return self.block_tokens * self.rows

    def __str__(self) -> str:
        return (
            f"{self.layers} layers x {self.width}, vocabulary {self.vocabulary:,}, "
            f"{self.rows} blocks of {self.block_tokens} tokens a step"
        )


SMALL = Shape(layers=4, width=256, vocabulary=8192, block_tokens=128, rows=64)
MIDDLE = Shape(layers=6, width=384, vocabulary=16384, block_tokens=256, rows=32, steps=16)
LARGE = Shape(layers=12, width=768, vocabulary=32768, block_tokens=512, rows=8, steps=10)


@attrs.frozen(kw_only=True)
class Workload:
    """An objective on an encoder, which the peer has too."""

    model: str
    """For people."""
    encoder: str
    encoder_fields: str = ""
    """Of lmkit's encoder, where it is not the peer's in everything."""
    objective: str
    objective_fields: str = ""
    tokenizer: str
    tokenizer_fields: str = ""
    shape: Shape = SMALL
    loops: bool = False
    """Whether loops other than the Trainer are measured too."""

    @property
    def about(self) -> str:
        return f"{self.model}, {self.shape}, books/train."


BERT = Workload(
    model="BERT, masked language modelling",
    encoder="bert",
    objective="mlm",
    objective_fields="rate = 0.15",
    tokenizer="wordpiece",
)
GPT2 = Workload(model="GPT-2, causal language modelling", encoder="gpt2", objective="clm", tokenizer="bpe")
MODERNBERT = attrs.evolve(BERT, model="ModernBERT, masked language modelling", encoder="modernbert")
QWEN3 = attrs.evolve(GPT2, model="Qwen3, causal language modelling", encoder="qwen3")
T5 = Workload(
    model="T5 (encoder and decoder of 4 layers each), span denoising",
    encoder="t5",
    objective="span-denoising",
    tokenizer="bpe",
    tokenizer_fields="marks = 100",
)

_RELU2 = 'activation = "relu2"'

WORKLOADS = {
    "mlm-4x256": attrs.evolve(BERT, loops=True),
    "clm-4x256": attrs.evolve(GPT2, loops=True),
    "mlm-6x384": attrs.evolve(BERT, shape=MIDDLE),
    "clm-6x384": attrs.evolve(GPT2, shape=MIDDLE),
    "mlm-12x768": attrs.evolve(BERT, shape=LARGE),
    "clm-12x768": attrs.evolve(GPT2, shape=LARGE),
    "mlm-relu2-4x256": attrs.evolve(BERT, model="BERT, ours with ReLU squared; masked", encoder_fields=_RELU2),
    "clm-relu2-4x256": attrs.evolve(GPT2, model="GPT-2, ours with ReLU squared; causal", encoder_fields=_RELU2),
    "mlm-modernbert-4x256": MODERNBERT,
    "clm-qwen3-4x256": QWEN3,
    "denoising-t5-4x256": T5,
}
