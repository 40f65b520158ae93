"""`import lmkit`, and listing plugins, load nothing heavy; to train and to answer loads no compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = {"torch", "transformers", "datasets", "numpy", "tokenizers", "safetensors", "rich", "typer"}
LATER = HEAVY | {"attr", "attrs", "cattrs", "pluggy", "importlib.metadata", "tomllib", "inspect"}


def run(code: str) -> str:
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_lmkit_loads_no_library() -> None:
    code = f"import sys; before = set(sys.modules); import lmkit; print((set(sys.modules) - before) & {LATER})"
    assert run(code) == "set()"


def test_listing_plugins_and_reading_a_recipe_load_no_torch() -> None:
    heavy = {"torch", "transformers", "datasets"}
    assert run(f"import sys, lmkit; lmkit.plugins(); lmkit.Pretraining; print(set(sys.modules) & {heavy})") == "set()"


TRAINS = """
import sys
from pathlib import Path
import lmkit
Path("text.txt").write_text("Robin Hood in greenwood stood, and his men were with him.\\n" * 100)
recipe = {
    "tokenizer": {"use": "wordpiece", "vocab_size": 300},
    "data": {"train": ["text.txt"], "document": "line", "validation": 0.1},
    "encoder": {"use": "bert", "layers": 1, "width": 64},
    "objective": {"use": "mlm"},
    "train": {"steps": 2, "block_tokens": 32, "batch_tokens": 128},
}
run = lmkit.pretrain(recipe, run="run", quiet=True)
lmkit.resume("run", overrides=["train.steps=3"], quiet=True).fill("Robin [MASK]")
print({"torch._dynamo", "torch._inductor", "sympy", "transformers", "datasets"} & set(sys.modules))
"""


def test_a_run_that_is_not_compiled_loads_no_compiler(tmp_path: Path) -> None:
    """It takes most of a second, and several ways into torch load it unasked."""
    done = subprocess.run([sys.executable, "-c", TRAINS], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "set()"
