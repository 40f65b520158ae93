"""Diagnosis: what a bug report needs to say of a machine and of what is installed on it. It names no user and no path
but the cache's."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lmkit.engine.device import can_compile, computes_in_bf16, physical_cores
from lmkit.registry import default_registry

_LIBRARIES = (
    "lmkit",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "safetensors",
    "numpy",
    "attrs",
    "cattrs",
    "pluggy",
    "typer",
)


def diagnosis() -> dict[str, dict[str, Any]]:
    """Headings, each with names and values that JSON can say; None where something is unknown."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}},
        "machine": {
            "system": platform.platform(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads of a run": physical_cores(),
            "memory GB": _memory_gb(),
            "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        },
        "training": _training(),
        "cache": _cache(),
        "plugins": {
            plugin.distribution: f"{plugin.version} {plugin.state}{plugin.reason and f': {plugin.reason}'}"
            for plugin in default_registry().plugins()
        },
    }


def _training() -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hindrance = can_compile(device)
    bf16 = computes_in_bf16(device)
    return {
        "device": device,
        "precision": "bf16, which the hardware multiplies" if bf16 else "fp32, as the hardware has no bf16",
        "compile": "possible" if hindrance is None else f"not possible: {hindrance}",
        "C++ compiler": shutil.which("g++") or shutil.which("c++") or "none",
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def _cache() -> dict[str, Any]:
    from lmkit.cache import cache_folder

    folder = cache_folder()
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    return {"folder": str(folder), "files": len(sizes), "size MB": round(sum(sizes) / 1e6, 1)}
