import pytest
import torch

from lmkit.errors import FitError
from lmkit.interfaces import Renamed
from lmkit.parts.renaming import from_transformers, to_transformers

NAMES = {
    "norm": Renamed(("ln",)),
    "qkv": Renamed(("q", "k", "v")),
    "inner": Renamed(("fc",), transposed=True),
}
OURS = {"norm": torch.arange(2.0), "qkv": torch.arange(18.0).view(6, 3), "inner": torch.arange(6.0).view(2, 3)}


def test_weights_are_renamed_cut_and_transposed() -> None:
    theirs = to_transformers(NAMES, OURS)
    assert {name: list(weight.shape) for name, weight in theirs.items()} == {
        "ln": [2], "q": [2, 3], "k": [2, 3], "v": [2, 3], "fc": [3, 2],
    }  # fmt: skip
    assert theirs["k"].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert theirs["fc"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert all(weight.is_contiguous() for weight in theirs.values())


def test_there_and_back_is_the_same() -> None:
    back = from_transformers(NAMES, to_transformers(NAMES, OURS))
    assert list(back) == list(OURS)
    assert all(torch.equal(back[name], weight) for name, weight in OURS.items())


def test_what_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(FitError) as raised:
        to_transformers(NAMES, {"norm": OURS["norm"], "extra": OURS["norm"]})
    assert str(raised.value) == "weights of the encoder: missing inner, qkv; unknown extra"
    with pytest.raises(FitError) as raised:
        from_transformers(NAMES, {"ln": OURS["norm"]})
    assert str(raised.value) == "weights in transformers: missing fc, k, q and 1 more; unknown none"
