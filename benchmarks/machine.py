"""What the figures were measured on: processor, threads, versions, and the matrix peak that bounds them all."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("lmkit", "torch", "transformers", "datasets", "tokenizers", "accelerate", "numpy")


def describe() -> dict[str, Any]:
    """Processor, cores, memory and versions."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = next((line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    flags = next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    return {
        "processor": model or platform.processor(),
        "matrix_units": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(terse=True),
        "load": os.getloadavg(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def matrix_peak(size: int = 2048, repeats: int = 8) -> dict[str, float]:
    """FLOP/s of the best of `repeats` square products, by precision."""
    import torch

    peak = {}
    for precision in (torch.float32, torch.bfloat16):
        left, right = torch.randn(2, size, size).to(precision)
        seconds = []
        for _ in range(repeats + 2):
            start = time.perf_counter()
            left @ right
            seconds.append(time.perf_counter() - start)
        peak[str(precision).removeprefix("torch.")] = 2 * size**3 / min(seconds[2:])
    return peak


if __name__ == "__main__":
    import json

    print(json.dumps({**describe(), "matrix_peak_flops": matrix_peak()}))
