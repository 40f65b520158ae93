"""The verbs: the only place where everything meets."""

from lmkit.report.profile import Profile
from lmkit.run.build import build_data
from lmkit.run.check import check
from lmkit.run.evaluate import evaluate
from lmkit.run.export import export
from lmkit.run.finetune import finetune
from lmkit.run.imported import import_model
from lmkit.run.inspect import inspect_data
from lmkit.run.load import load
from lmkit.run.playground import serve
from lmkit.run.predict import predict
from lmkit.run.pretrain import pretrain
from lmkit.run.report import compare, write_report
from lmkit.run.resume import resume
from lmkit.run.run import Encoded, Run
from lmkit.run.seeds import finetune_seeds

__all__ = [
    "Encoded",
    "Profile",
    "Run",
    "build_data",
    "check",
    "compare",
    "evaluate",
    "export",
    "finetune",
    "finetune_seeds",
    "import_model",
    "inspect_data",
    "load",
    "predict",
    "pretrain",
    "resume",
    "serve",
    "write_report",
]
