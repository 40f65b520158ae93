"""Mistakes that once ended in an internal error: each is one sentence now."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

import lmkit
from lmkit.cli.answer import as_json
from tests.run.recipes import recipe


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"tokens": 0}, "tokens: expected at least 1, got 0"),
        ({"tokens": "infM"}, "tokens: expected a number such as 5000000 or \"5M\", got 'infM'"),
        ({"threads": 0}, 'threads: expected 1 to 1024, or "auto", got 0'),
        ({"threads": 1_000_000}, 'threads: expected 1 to 1024, or "auto", got 1000000'),
        ({"spike": 0.5}, "spike: expected more than 1 times the median"),
        ({"batch_tokens": 32 * 10**15}, "batch_tokens"),
        ({"data_workers": 100_000}, "data_workers"),
        ({"matrix_learning_rate": 1e308}, "matrix_learning_rate"),
    ],
)
def test_settings_out_of_all_bounds(tmp_path, book, train, message):
    with pytest.raises(lmkit.ConfigError) as raised:
        lmkit.pretrain(recipe("mlm", book, **train), run=tmp_path / "run", quiet=True)
    assert message in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_an_encoder_that_no_machine_holds(tmp_path, book):
    table = recipe("mlm", book)
    table["encoder"] |= {"width": 1 << 16, "heads": 1, "layers": 1000}
    with pytest.raises(
        lmkit.FitError, match=r'encoder "bert" with the head of objective "mlm" cannot be built: .*Make it smaller'
    ):
        lmkit.pretrain(table, run=tmp_path / "run", quiet=True)


def test_a_plugin_that_leaves_while_it_is_built_is_named(tmp_path, book):
    plugin = tmp_path / "leaving.py"
    plugin.write_text("""
import sys
import attrs
from lmkit import Encoder, hookimpl

@attrs.frozen
class Config:
    pass

class Leaving(Encoder):
    name = "leaving"
    Config = Config
    attention = frozenset({"bidirectional"})
    def __init__(self, config, vocabulary):
        sys.exit(0)
    def forward(self, inputs):
        return None

@hookimpl
def lmkit_encoders():
    return {"leaving": f"{__name__}:Leaving"}
""")
    table = recipe("mlm", book) | {"encoder": {"use": "leaving"}, "plugins": [str(plugin)]}
    with pytest.raises(lmkit.FitError, match=r'encoder "leaving".* cannot be built: SystemExit: 0'):
        lmkit.pretrain(table, run=tmp_path / "run", quiet=True)


def test_text_of_which_nothing_is_predicted_is_told_before_training(tmp_path, book):
    huge = tmp_path / "huge.txt"
    huge.write_text("x" * 5000)  # a word that WordPiece does not know: one unknown token
    run = lmkit.pretrain(recipe("mlm", book), run=tmp_path / "run", quiet=True)
    table = recipe("mlm", huge)
    table["data"].pop("validation")
    table |= {"tokenizer": {"use": "wordpiece", "folder": str(_tokenizer_of(run))}}
    with pytest.raises(lmkit.DataError, match="finds nothing to predict in the training data"):
        lmkit.pretrain(table, run=tmp_path / "other", quiet=True)
    assert not (tmp_path / "other").exists()
    with pytest.raises(lmkit.DataError, match=r"huge.txt: nothing to score"):
        lmkit.evaluate(run, text=[huge])


def _tokenizer_of(run):
    return next(run.folder.glob("checkpoints/*/tokenizer"))


@pytest.mark.parametrize("line", [b"\xff\xfe{\n", b"[" * 100_000 + b"\n", b"7\n", b'{"text": "a \\u0000"}\n'])
def test_lines_on_stdin_that_are_no_rows_are_told_in_their_place(trained, monkeypatch, line):
    good = b'{"text": "a [MASK]"}'
    given = b"\xef\xbb\xbf" + good + b"\r\n\n \t\n" + line + good
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    first, bad, last = lmkit.predict(trained["mlm"], rows="-")
    assert first == last
    assert "error" not in first
    assert bad["error"].startswith("stdin:4: ")


def test_half_a_surrogate_pair_is_written_as_json_can():
    assert as_json({"\ud800": 1}) == '{"\\ud800": 1}'


@pytest.mark.parametrize("content", [b"", b"[]", b"{]"])
def test_a_damaged_datasets_folder_is_named(tmp_path, book, content):
    import datasets

    folder = tmp_path / "saved"
    datasets.Dataset.from_dict({"text": ["one", "two"]}).save_to_disk(str(folder))
    (folder / "dataset_info.json").write_bytes(content)
    table = recipe("mlm", book)
    table["data"]["train"] = [str(folder)]
    with pytest.raises(lmkit.DataError, match=r"saved: cannot be read as a `datasets` folder"):
        lmkit.pretrain(table, run=tmp_path / "run", quiet=True)
