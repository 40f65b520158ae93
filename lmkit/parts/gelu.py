"""GELU, exact or by tanh (Hendrycks and Gimpel 2016, section 2); by polynomials in kernels that a CPU gets for bf16.

There it was a sixth of a step.  Both GELU(x) / x and GELU's slope are 1/2 plus an odd function that is all but constant
beyond 4.3, so each is a polynomial of nine terms: of GELU off by at most 6e-5, of the slope by 3e-4, where bf16 rounds
a number near 1 by up to 4e-3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor

_BEYOND = 4.3


@attrs.frozen(kw_only=True)
class _Fit:
    """Coefficients of 1, x^2, x^4, ... that keep the largest error least (minimax)."""

    share: tuple[float, ...]
    """Of (GELU(x) / x - 1/2) / x."""
    slope: tuple[float, ...]
    """Of (GELU'(x) - 1/2) / x."""


# fmt: off
_FITS = {
    "none": _Fit(
        share=(
            3.988539466e-1, -6.623885682e-2, 9.742247433e-3, -1.084485752e-3, 8.915370712e-5,
            -5.19181883e-6, 2.0008918e-7, -4.531797334e-9, 4.535403225e-11,
        ),
        slope=(
            7.972738242e-1, -2.637442521e-1, 5.745680792e-2, -8.307683039e-3, 8.196366273e-4,
            -5.437013408e-5, 2.305038203e-6, -5.610379019e-8, 5.938924359e-10,
        ),
    ),
    "tanh": _Fit(
        share=(
            3.988316272e-1, -6.651402376e-2, 9.934207875e-3, -1.135396264e-3, 9.629804461e-5,
            -5.776892902e-6, 2.282639387e-7, -5.272787032e-9, 5.357612338e-11,
        ),
        slope=(
            7.971149316e-1, -2.645353977e-1, 5.83568991e-2, -8.62237792e-3, 8.730070451e-4,
            -5.939441563e-5, 2.574282408e-6, -6.38089671e-8, 6.854371827e-10,
        ),
    ),
}
# fmt: on


def gelu(x: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """GELU of `x`, by tanh for "tanh"; in a kernel that a CPU gets for bf16, as near as this file says."""
    if torch.compiler.is_compiling() and x.dtype == torch.bfloat16 and x.device.type == "cpu":
        result: Tensor = _Polynomial.apply(x, approximate)  # type: ignore[no-untyped-call]
        return result
    return F.gelu(x, approximate=approximate)


class _Polynomial(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, approximate: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.approximate = approximate
        return (x.float() * _half_plus(x, _FITS[approximate].share)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        [x] = ctx.saved_tensors
        return (upstream[0].float() * _half_plus(x, _FITS[ctx.approximate].slope)).to(x.dtype), None


def _half_plus(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """1/2 + x (c0 + c1 x^2 + c2 x^4 + ...), in float32; beyond the fitted range what it is at its end."""
    near = x.float().clamp(-_BEYOND, _BEYOND)
    square, total = near * near, torch.full_like(near, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * square + coefficient
    return near * total + 0.5
