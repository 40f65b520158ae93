"""evaluate: how good a run is, in numbers."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import tee
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from lmkit.config import override, read
from lmkit.data.files import find
from lmkit.data.prepare import prepare
from lmkit.data.settings import Data
from lmkit.data.stream import Ordered
from lmkit.engine.distributed import Processes
from lmkit.engine.validation import Totals, measure_all
from lmkit.errors import DataError
from lmkit.interfaces.task import Row
from lmkit.run.folder import CONFIG
from lmkit.run.load import load
from lmkit.run.predict import format_of, in_place, rows_of
from lmkit.run.run import BATCH_TOKENS, Precision, Run
from lmkit.run.scores import scored
from lmkit.run.seeds import compared, members
from lmkit.run.texts import blocks_of, fingerprint_of

MINIMAL_PAIRS = "minimal-pairs"
"""The installed task that answers rows of minimal pairs."""


def evaluate(
    run: Path | str | Run,
    *,
    text: Sequence[Path | str] = (),
    rows: Path | str | Iterable[Row] | None = None,
    minimal_pairs: Sequence[Path | str] = (),
    task: str | None = None,
    overrides: Sequence[str] = (),
    local_files: Sequence[Path | str] = (),
    precision: Precision | Literal["auto"] = "auto",
    **options: Any,
) -> dict[str, Any]:
    """Score a run on text, on rows of its task, on files of minimal pairs, or on several of them.

    Of text: each term's mean loss and perplexity, what else the objective measures, and, where every token is
    predicted, bits per byte over disjoint windows of the run's block_tokens.  Of rows: the task's metrics, and for
    each the interval in which 95 % of resampled rows have it; rows that cannot be read are counted as `unread`, and
    those with a label that the model does not know, of which no answer is right, as `unknown_labels`.
    `task`, `overrides` and `options` as for `predict`; `precision`, of rows, as for `load`.
    Of minimal pairs: of each file accuracy (a tie counts half), share of ties and number of pairs, and the files' mean;
    a folder or pattern stands for the files in it.
    A folder with the runs of several seeds gives what was found for each, the mean and the spread.
    """
    if not text and rows is None and not minimal_pairs:
        raise DataError("evaluate: expected --text, --rows or --minimal-pairs (text, rows, minimal_pairs), got none")
    if not isinstance(run, Run) and (runs := members(Path(run))):
        for other in sorted({*Path(run).glob("seed-*")} - {*runs}):
            warnings.warn(f"{other}: left out, since it holds no run", stacklevel=2)
        kept: Any = rows
        if rows is not None and (str(rows) == "-" or not isinstance(rows, (str, Path))):
            kept = list(rows_of(rows))  # what can be read once only is read for all of them
        asked: dict[str, Any] = {"text": text, "rows": kept, "minimal_pairs": minimal_pairs, "task": task, **options}
        return compared(
            {
                path.name: evaluate(path, overrides=overrides, local_files=local_files, precision=precision, **asked)
                for path in runs
            }
        )
    loaded = run if isinstance(run, Run) else load(run, local_files=local_files, precision=precision)
    found: dict[str, Any] = {}
    if text:
        found["text"] = _on_text(loaded, [Path(path) for path in text])
    if rows is not None:
        found["rows"] = _on_rows(loaded, rows, task, override(options, overrides))
    if minimal_pairs:
        found["minimal_pairs"] = _on_minimal_pairs(loaded, [Path(path) for path in minimal_pairs])
    return found


def _on_text(run: Run, paths: Sequence[Path]) -> dict[str, Any]:
    tokenizer, objective = run.tokenizer, run.module.objective
    data = read(run.folder / CONFIG).get("data")
    document: Any = data.get("document", "file") if isinstance(data, dict) else "file"
    settings = Data(train=paths, document=document, format=format_of(run))
    stores = prepare(settings, tokenizer, fingerprint_of(tokenizer)).train
    sums: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for store in stores:
        try:
            totals = measure_all(
                run.module,
                run.module.measure,
                Ordered(blocks_of(store, tokenizer, run.block_tokens)),
                lambda examples, progress: objective.collate(examples, progress=progress),
                batch_examples=max(1, BATCH_TOKENS // run.block_tokens),
                device=run.device,
                processes=Processes(),
            )
        except DataError as error:  # its examples need targets, which blocks of text have not
            raise DataError(
                f'{run.folder}: objective "{objective.name}" does not score plain text; give rows of its task'
            ) from error
        assert totals is not None
        sums.update(totals.sums)
        counts.update(totals.counts)
    if not any(counts[term] for term in objective.weights):
        raise DataError(f"{', '.join(map(str, paths))}: nothing to score: no token of the text is predicted")
    means = Totals(sums, counts).means
    size = sum(store.total_bytes for store in stores)
    tokens = sum(store.total_tokens for store in stores)
    found: dict[str, Any] = {
        "documents": sum(store.documents for store in stores),
        "bytes": size,
        "tokens": tokens,
        "predictions": dict(counts),
        **means,
    }
    for term in objective.weights:
        found[f"{term}.perplexity"] = math.exp(min(means[term], 700))
        if counts[term] == tokens:  # every token was predicted, each once
            found["bits_per_byte"] = sums[term] / math.log(2) / size
    return found


def _on_minimal_pairs(run: Run, paths: Sequence[Path]) -> dict[str, Any]:
    """Each file's metrics under its path, and "mean": each file counts as much, however many pairs it has."""
    files = {}
    tables = [file for file in find(paths) if file.format != "text"]  # a folder of pairs may have its README
    if not tables:
        raise DataError(f"{', '.join(map(str, paths))}: wanted files of rows, such as .jsonl; there are none")
    for file in tables:
        scores = _on_rows(run, file.path, MINIMAL_PAIRS, {})
        pairs = {"pairs": scores.pop("scored"), "unread": scores.pop("unread")}
        del scores["rows"]
        files[str(file.path)] = scores | pairs
    means = {name: fmean(scores[name] for scores in files.values()) for name in ("accuracy", "ties")}
    return {"files": files, "mean": means}


def _on_rows(
    run: Run, rows: Path | str | Iterable[Row], task: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    asked, kept = tee(rows_of(rows, format_of(run)))
    answers = in_place(asked, partial(run.predict, task=task, **options))
    scores = scored(run.task(task, **options), kept, answers, labels=run.parts.labels)
    try:
        metrics = scores.metrics()
    except DataError as error:
        raise DataError(f"{rows}: {error}" if isinstance(rows, (str, Path)) else f"evaluate: {error}") from None
    counts = {"rows": scores.rows, "scored": scores.scored, "unread": scores.unread}
    if scores.unread:
        told = f"{scores.unread:,} of {scores.rows:,} rows unread; the first: {scores.first_unread}"
        warnings.warn(told, stacklevel=2)
    if scores.unknown:
        counts["unknown_labels"] = scores.unknown
        warnings.warn(f"{scores.first_unknown}: no answer can be right there", stacklevel=2)
    return {**counts, **metrics, "intervals": scores.intervals()}
