"""The verbs: the only place where everything meets."""

from lmkit.run.build import build_data
from lmkit.run.check import check
from lmkit.run.evaluate import evaluate
from lmkit.run.finetune import finetune
from lmkit.run.load import load
from lmkit.run.predict import predict
from lmkit.run.pretrain import pretrain
from lmkit.run.resume import resume
from lmkit.run.run import Encoded, Run
from lmkit.run.seeds import finetune_seeds

__all__ = [
    "Encoded",
    "Run",
    "build_data",
    "check",
    "evaluate",
    "finetune",
    "finetune_seeds",
    "load",
    "predict",
    "pretrain",
    "resume",
]
