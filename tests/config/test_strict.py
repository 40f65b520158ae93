"""Configs from tables: exact messages, all at once, and the way back."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import validators
from hypothesis import given, settings
from hypothesis import strategies as st

from lmkit import config
from lmkit.errors import ConfigError


@attrs.frozen(kw_only=True)
class Warm:
    share: float = attrs.field(default=0.1, validator=[validators.ge(0), validators.le(1)])
    """Share of the budget."""
    shape: Literal["linear", "cosine"] = "linear"


@attrs.frozen(kw_only=True)
class Bert:
    path: str
    """Where it is."""
    layers: int = attrs.field(default=4, validator=validators.ge(1))
    """Transformer blocks,
    first to last."""
    heads: int = 4
    dropout: float | tuple[float, ...] = 0.0
    """Share that is dropped: one, or one
    for each layer."""
    micro: int | Literal["auto"] = "auto"
    names: tuple[str, ...] = ()
    pair: tuple[int, str] = (1, "a")
    weights: Mapping[str, float] = attrs.field(factory=dict)
    warm: Warm = attrs.field(factory=Warm)
    limit: float | None = None
    """Most of it, where there is a most."""
    tied: bool = True
    sources: tuple[str | Warm, ...] = ()
    folder: Path | None = None
    kinds: frozenset[str] = frozenset()

    def __attrs_post_init__(self) -> None:
        if self.layers % 2 and self.heads % 2:
            raise ValueError(f"layers {self.layers} and heads {self.heads} are both odd")


OWNER = 'encoder "bert" (lmkit-bert 0.1.0)'


def problems(data: Any, owner: str | None = OWNER, path: str = "encoder") -> list[str]:
    found = config.Problems()
    assert config.collect(Bert, data, found, path=path, owner=owner) is None
    return found


def test_five_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config.structure(
            Bert,
            {"heads": "twelve", "layerz": 3, "layers": 0, "dropout": [0.1, True]},
            source="run.toml",
            path="encoder",
            owner=OWNER,
        )
    assert str(caught.value) == (
        "run.toml: 5 problems\n"
        "  encoder.heads: expected int, got str 'twelve'\n"
        '  encoder.layerz: unknown key for encoder "bert" (lmkit-bert 0.1.0). Did you mean "layers"?\n'
        "  encoder.dropout[1]: expected float, got bool True\n"
        '  encoder.path: required, str for encoder "bert" (lmkit-bert 0.1.0)\n'
        "  encoder.layers: 'layers' must be >= 1: 0"
    )
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"heads": 1.0}, "heads: expected int, got float 1.0"),
        ({"heads": True}, "heads: expected int, got bool True"),
        ({"path": 3}, "path: expected str, got int 3"),
        ({"tied": 1}, "tied: expected bool, got int 1"),
        ({"tied": "yes"}, "tied: expected bool, got str 'yes'"),
        ({"dropout": "half"}, "dropout: expected float or list of float, got str 'half'"),
        ({"dropout": math.nan}, "dropout: expected a finite number, got nan"),
        ({"limit": -math.inf}, "limit: expected a finite number, got -inf"),
        ({"limit": 10**400}, "limit: expected float, got int 100000000000000000...0000000000000000000"),
        ({"micro": "aut"}, "micro: expected int or \"auto\", got str 'aut'"),
        ({"names": "abc"}, "names: expected list of str, got str 'abc'"),
        ({"names": ["a", 1, "b", 2.0]}, "names[1]: expected str, got int 1"),
        ({"pair": [1]}, "pair: expected list of int, str, got list [1]"),
        ({"pair": [1, 2]}, "pair[1]: expected str, got int 2"),
        ({"weights": [1.0]}, "weights: expected table of float, got list [1.0]"),
        ({"weights": {"a": "b"}}, "weights.a: expected float, got str 'b'"),
        ({"warm": 0.1}, "warm: expected table, got float 0.1"),
        ({"warm": {"share": 2}}, "warm.share: 'share' must be <= 1: 2.0"),
        (
            {"warm": {"shape": "linaer"}},
            'warm.shape: expected "linear" or "cosine", got str \'linaer\'. Did you mean "linear"?',
        ),
        ({"warm": {"x": 1}}, "warm.x: unknown key. Known: share, shape"),
        ({"sources": ["a", {"shar": 1.0}]}, 'sources[1].shar: unknown key. Did you mean "share"?'),
        ({"sources": [3]}, "sources[0]: expected str or table, got int 3"),
        ({"folder": 3}, "folder: expected path, got int 3"),
        ({"folder": "$LMKIT_UNSET/x"}, "folder: environment variable LMKIT_UNSET is not set, in '$LMKIT_UNSET/x'"),
        ({"layers": 3, "heads": 3}, "layers 3 and heads 3 are both odd"),
        ("bert", "expected table, got str 'bert'"),
        ({"heads": {"a": 1}}, "heads: expected int, got table {'a': 1}"),
        ({"heads": None}, "heads: expected int, got nothing"),
    ],
)
def test_a_wrong_value_is_told_with_its_path(data: Any, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMKIT_UNSET", raising=False)
    given = {"path": "x", **data} if isinstance(data, dict) else data
    assert problems(given, owner=None, path="")[0] == problem


def test_problems_of_the_whole_table_bear_its_path() -> None:
    assert problems({"path": "x", "layers": 3, "heads": 3}) == ["encoder: layers 3 and heads 3 are both odd"]
    assert problems(7) == ["encoder: expected table, got int 7"]


def test_problems_gather_over_several_calls() -> None:
    found = config.Problems()
    config.collect(Warm, {"share": -1.0}, found, path="a")
    config.collect(Warm, {"shape": 1}, found, path="b")
    with pytest.raises(ConfigError) as caught:
        found.raise_if_any("run.toml")
    assert caught.value.problems == (
        "a.share: 'share' must be >= 0: -1.0",
        'b.shape: expected "linear" or "cosine", got int 1',
    )


def test_right_values_arrive_as_they_are(tmp_path: Path) -> None:
    built = config.structure(
        Bert,
        {
            "path": "x",
            "dropout": [0, 0.5],
            "micro": 8,
            "names": ["a"],
            "pair": [2, "b"],
            "weights": {"a": 1},
            "warm": {"share": 1},
            "sources": ["a", {"share": 0.5}],
            "folder": "there",
            "kinds": ["x", "x"],
        },
        source="run.toml",
        folder=tmp_path,
    )
    assert built == Bert(
        path="x",
        dropout=(0.0, 0.5),
        micro=8,
        names=("a",),
        pair=(2, "b"),
        weights={"a": 1.0},
        warm=Warm(share=1.0),
        sources=("a", Warm(share=0.5)),
        folder=tmp_path / "there",
        kinds=frozenset({"x"}),
    )
    assert type(built.weights["a"]) is float


def test_paths_start_at_the_folder_of_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKIT_HERE", "/data")
    monkeypatch.setenv("HOME", "/home/robin")
    assert config.locate("books/**/*.md", tmp_path) == tmp_path / "books/**/*.md"
    assert config.locate("../books", tmp_path) == tmp_path.parent / "books"
    assert config.locate("$LMKIT_HERE/${LMKIT_HERE}", tmp_path) == Path("/data/data")
    assert config.locate("~/books", tmp_path) == Path("/home/robin/books")
    assert config.locate("/books", tmp_path) == Path("/books")
    assert config.locate("books", None) == Path.cwd() / "books"


KEYS = ["unknown", *(field.name for field in (*attrs.fields(Bert), *attrs.fields(Warm)))]
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        Bert,
        path=st.text(st.characters(exclude_categories=["Cs"])),
        layers=st.integers(1, 50).map(lambda n: 2 * n),
        dropout=FINITE | st.tuples(FINITE, FINITE),
        micro=st.just("auto") | st.integers(0, 10),
        weights=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), FINITE),
        warm=st.builds(Warm, share=st.floats(0, 1)),
        limit=st.none() | FINITE,
        sources=st.lists(st.text("ab") | st.just(Warm(share=0.5))).map(tuple),
        folder=st.none() | st.just(Path("/a/b")),
        kinds=st.frozensets(st.text("ab")),
    )
)
def test_what_is_written_is_read_back_equal(built: Bert) -> None:
    text = config.dumps(config.unstructure(built))
    assert config.structure(Bert, tomllib.loads(text), source="run.toml") == built
    commented = config.commented({"": ({"seed": 1}, None), "encoder": ({"use": "bert"}, built)})
    tables = tomllib.loads(commented)
    assert tables["seed"] == 1
    assert tables["encoder"].pop("use") == "bert"
    assert config.structure(Bert, tables["encoder"], source="run.toml") == built


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([f.name for f in attrs.fields(Bert)]), inner)
        ),
        max_leaves=8,
    )
)
def test_no_data_raises_anything_else(data: Any) -> None:
    found = config.Problems()
    built = config.collect(Bert, data, found, path="encoder")
    assert (built is None) == bool(found)
    assert all(problem.startswith("encoder") for problem in found)
