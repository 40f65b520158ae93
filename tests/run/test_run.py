"""A trained run answers: what its head can do, and nothing else."""

from __future__ import annotations

import pytest
import torch

import lmkit
from tests.run.recipes import recipe


def test_encode_unpacks_into_hidden_and_pooled(trained):
    run = trained["mlm"]
    encoded = run.encode(["Robin Hood drew his bow", "Robin"])
    hidden, pooled = encoded
    assert hidden is encoded.hidden
    assert pooled is encoded.pooled
    assert hidden.shape == (2, int(encoded.lengths.max()), 32)
    assert pooled.shape == (2, 32)
    assert not hidden[1, int(encoded.lengths[1]) :].any()
    alone = run.encode("Robin")
    assert torch.allclose(alone.hidden[0], hidden[1, : int(encoded.lengths[1])], atol=1e-5)
    assert torch.allclose(alone.pooled[0], pooled[1], atol=1e-5)


def test_verbs_follow_from_the_head(trained):
    assert trained["mlm"].verbs() == {"embed": "embedding", "fill": "fill-mask"}
    of_gpt = {"complete": "completion", "embed": "embedding", "sentences": "vocabulary", "translate": "translation"}
    assert trained["clm"].verbs() == of_gpt
    with pytest.raises(AttributeError) as raised:
        trained["mlm"].complete("Robin")
    assert str(raised.value) == "a run with a head of kind token has no 'complete'; its verbs: embed, fill"


def test_options_of_a_verb_are_checked_as_configs_are(trained):
    answer = trained["mlm"].fill("Robin drew his [MASK].", top_k=2)
    assert len(answer["masks"][0]) == 2
    with pytest.raises(lmkit.ConfigError, match=r'top_kk: unknown key .* Did you mean "top_k"\?'):
        trained["mlm"].fill("Robin drew his [MASK].", top_kk=2)


def test_a_list_of_texts_gives_a_list_of_answers(trained):
    answers = trained["clm"].complete(["Robin", "Little John"], max_new_tokens=3, temperature=0)
    assert len(answers) == 2
    alone = trained["clm"].complete("Robin", max_new_tokens=3, temperature=0)
    assert answers[0].pop("log_probability") == pytest.approx(alone.pop("log_probability"), abs=1e-5)
    assert answers[0] == alone


def test_the_wrong_task_for_a_head_is_refused_by_name(trained):
    with pytest.raises(lmkit.FitError) as raised:
        trained["clm"].predict(["x"], task="fill-mask")
    wanted = 'task "fill-mask" reads heads of kind masked-next-token, token; this run has a head of kind next-token'
    assert str(raised.value) == wanted


def test_texts_that_cannot_be_encoded_are_named(trained):
    with pytest.raises(lmkit.DataError, match=r"^encode: text 1 has \d+ tokens, this encoder reads at most 64"):
        trained["mlm"].encode(["short", "word " * 500])
    with pytest.raises(lmkit.DataError, match="expected at least one text, got none"):
        trained["mlm"].encode([])


@pytest.mark.parametrize("kind", ["mlm", "clm"])
def test_evaluating_text_gives_means_over_all_predictions(trained, book, kind):
    found = lmkit.evaluate(trained[kind], text=[book])["text"]
    assert found["bytes"] == len(book.read_bytes()) or found["bytes"] > 0
    assert found[f"{kind}.perplexity"] == pytest.approx(2.718281828459045 ** found[kind], rel=1e-6)
    if kind == "clm":
        assert found["predictions"]["clm"] == found["tokens"]
        bits = found["clm"] * found["tokens"] / 0.6931471805599453 / found["bytes"]
        assert found["bits_per_byte"] == pytest.approx(bits, rel=1e-9)
    else:
        assert "bits_per_byte" not in found
        assert 0 <= found["mlm.accuracy"] <= 1


def test_nothing_to_evaluate_or_predict_is_said(trained):
    with pytest.raises(lmkit.DataError, match=r"expected --text, --rows or --minimal-pairs .*, got none"):
        lmkit.evaluate(trained["mlm"])
    with pytest.raises(lmkit.DataError, match=r"expected texts, or rows .*, got neither"):
        lmkit.predict(trained["mlm"])
    for one in ({"texts": "a [MASK]"}, {"rows": {"text": "a [MASK]"}}):
        with pytest.raises(lmkit.DataError, match="expected a list of texts, or of rows, got one alone"):
            lmkit.predict(trained["mlm"], **one)


def test_rows_come_from_a_file_in_order(trained, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a [MASK]"}\n{"text": "no mask here"}\n{"text": "the [MASK] of Robin"}\n')
    answers = list(lmkit.predict(trained["mlm"], rows=rows))
    assert [("error" in a) for a in answers] == [False, True, False]


def test_check_says_what_a_run_will_cost(book):
    from lmkit.run import check

    found = check(recipe("mlm", book, steps=100))
    assert found["tokens"] == 100 * 256
    assert found["parameters"] > found["trained_parameters"] > 0  # the pooler is frozen
    assert found["minutes"] > 0
    assert found["peak_memory_bytes"] > 1e7
    assert found["flops"] == pytest.approx(found["flops_per_token"] * found["tokens"])
