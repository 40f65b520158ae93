"""Prepare: a [data] table and a tokenizer -> the stores of a run, built or found.

sources     --minus held-out documents--> one store each, to repeat by its weight
validation  --named sets, or the held-out documents of all sources--> one store each
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import attrs

from lmkit.data.build import build_store, no_text
from lmkit.data.corpus import Piece, read_documents
from lmkit.data.files import File, find
from lmkit.data.settings import Data
from lmkit.data.store import Store, fingerprint_of
from lmkit.data.tally import Tally

if TYPE_CHECKING:
    from lmkit.interfaces.tokenizer import Tokenizer


@attrs.frozen(eq=False, kw_only=True)
class Stores:
    """What a run trains and validates on."""

    train: tuple[Store, ...]
    """One for each source of the settings, in their order."""
    weights: tuple[float, ...]
    """Repetitions of each source an epoch."""
    validation: Mapping[str, Store]


def training_texts(settings: Data) -> Iterator[str]:
    """All training documents, in pieces of some 65,536 characters: what a new tokenizer is trained on.

    Raises what `prepare` raises.
    """
    empty, tally = True, Tally(settings.bad_input)
    for source in settings.sources:
        for piece in _read([find([source.path], settings.format)], settings, tally, held_out=False):
            empty = False
            yield piece.text
    if empty:
        raise no_text(tally)


def prepare(settings: Data, tokenizer: Tokenizer, tokenizer_fingerprint: str) -> Stores:
    """The stores that `settings` asks for; reads all of the text, and tokenizes what no earlier run has.

    Raises DataError for paths that name nothing, for bad input, and for a set without text.
    """
    sources = [find([source.path], settings.format) for source in settings.sources]
    sets = {name: [find(paths, settings.format)] for name, paths in settings.validation_sets.items()}
    if settings.held_out:
        sets = {"validation": sources}
    groups_of_files = [*sources, *chain.from_iterable(sets.values())]
    identities = {file: file.identity() for file in {*chain.from_iterable(groups_of_files)}}

    def store(groups: Sequence[tuple[File, ...]], *, held_out: bool) -> Store:
        share = settings.held_out
        part = f"{'the held-out' if held_out else 'all but the held-out'} {share}" if share else "all"
        known = ["|".join(identities[file] for file in files) for files in groups]
        tally = Tally(settings.bad_input)
        return build_store(
            _read(groups, settings, tally, held_out=held_out),
            tokenizer,
            fingerprint_of(known, settings, tokenizer_fingerprint, part=part),
            tally,
        )

    return Stores(
        train=tuple(store([files], held_out=False) for files in sources),
        weights=tuple(source.weight for source in settings.sources),
        validation={name: store(groups, held_out=bool(settings.held_out)) for name, groups in sets.items()},
    )


def _read(groups: Sequence[tuple[File, ...]], settings: Data, tally: Tally, *, held_out: bool) -> Iterator[Piece]:
    """The documents of groups of files; a share is held out of each group by itself."""
    for files in groups:
        yield from read_documents(files, settings, tally, held_out=held_out)
