"""What "auto" means on this machine: device, precision, threads, compile, micro-batch. Chosen once, at step 0."""

from __future__ import annotations

import os
import shutil
import sysconfig
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import attrs
import torch

from lmkit.engine.distributed import local_world
from lmkit.engine.settings import Training

# Known peaks in bf16 FLOP/s without sparsity, from the makers' data sheets.
_KNOWN_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "RTX 4090": 165e12}

# Tokens of a micro-batch beyond which nothing is gained but memory is spent.
_MOST_TOKENS = {"cpu": 16384, "cuda": 65536}


@attrs.frozen(kw_only=True)
class Choices:
    """What was chosen at step 0; a checkpoint stores it, and a resume takes the same."""

    device: str
    precision: str
    """ "bf16" or "fp32"."""
    compile: bool
    threads: int
    micro_batch_tokens: int

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def autocast(self) -> AbstractContextManager[None]:
        """Where matrix products are done in the chosen precision; weights stay fp32."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16)


def device() -> str:
    """What a run is made on here."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose(settings: Training, *, long_run: bool) -> Choices:
    """Fill in every "auto" of `settings`; `long_run`: whether compiling would be repaid."""
    place = device()
    threads = _threads() if settings.threads == "auto" else settings.threads
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if computes_in_bf16(place) else "fp32"
    compiled = settings.compile == "on" or (settings.compile == "auto" and long_run and can_compile(place) is None)
    micro = settings.micro_batch_tokens
    if micro == "auto":
        micro = micro_batch_tokens(settings, _MOST_TOKENS[place])
    return Choices(device=place, precision=precision, compile=compiled, threads=threads, micro_batch_tokens=micro)


_MOST_THREADS = 1024  # that train.threads may say


def _threads() -> int:
    """What OMP_NUM_THREADS says, or the physical cores; of several processes a share, whatever torchrun says."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    if local_world() == 1 and said.isdecimal() and int(said):
        return min(int(said), _MOST_THREADS)
    return max(1, physical_cores() // local_world())


def micro_batch_tokens(settings: Training, most: int) -> int:
    """The largest whole share of the batch that has at most `most` tokens, or a block where that is larger."""
    blocks = settings.batch_tokens // settings.block_tokens
    room = min(blocks, max(1, most // settings.block_tokens))
    return next(n for n in range(room, 0, -1) if blocks % n == 0) * settings.block_tokens


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """While entered, torch takes deterministic kernels only, where that is wanted; it raises where it has none."""
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    if not wanted or (torch.are_deterministic_algorithms_enabled() and not warns):
        yield  # to say what is so already would load the compiler, for most of a second
        return
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(warns, warn_only=warns)


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads counted once where the system tells them apart."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    siblings = set()
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list"):
        try:
            siblings.add(path.read_text())
        except OSError:
            return allowed
    return max(1, min(allowed, len(siblings) or allowed))


def computes_in_bf16(device: str) -> bool:
    """Whether the hardware multiplies bfloat16 natively, so that it is faster than fp32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def can_compile(device: str) -> str | None:
    """Why torch.compile cannot work here, or None where it can."""
    if device == "cuda":
        return None
    if shutil.which("g++") is None and shutil.which("c++") is None:
        return "no C++ compiler (g++) is installed"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "Python's headers (python3-dev) are not installed"
    return None


def peak_flops(choices: Choices) -> float | None:
    """FLOP/s of a large matrix product in the run's precision: known for the GPU, or measured in 0.1 s on a CPU."""
    if choices.device != "cpu":
        name = torch.cuda.get_device_name()
        return next((peak for known, peak in _KNOWN_PEAKS.items() if known in name), None)
    size, best = 1024, float("inf")
    left, right = torch.ones(size, size, dtype=choices.dtype), torch.ones(size, size, dtype=choices.dtype)
    for _ in range(5):
        begun = time.perf_counter()
        torch.mm(left, right)
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best
