"""`import lmkit`, and listing plugins, load nothing heavy."""

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
