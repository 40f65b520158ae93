"""A 5-gram model beside a run: interpolated Kneser-Ney over the same tokens, scored in bits per byte on the same text.

    python -m benchmarks.ngram RUN [--tokens 10000000] [--order 5] [--read FILE ...] [--score FILE ...]

(Kneser and Ney 1995; Chen and Goodman 1998, section 4.1.6: one discount an order, n1 / (n1 + 2 n2).)  It is counted
on the first tokens of the run's training text, as many as `--tokens`, and on all of `--read`; it scores every token of
the run's validation text, or of `--score`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from lmkit import load
from lmkit.data.prepare import Stores, prepare
from lmkit.data.settings import Data
from lmkit.recipe import read_pretraining
from lmkit.run.texts import fingerprint_of

Ids = npt.NDArray[np.int64]


@attrs.frozen(eq=False)
class Order:
    """All n-grams of one length that were seen: gram = (suffix of length n - 1, one token further back)."""

    keys: Ids
    """[grams] sorted: suffix's number x vocabulary + token."""
    counts: Ids
    """[grams] occurrences, or for lower orders the distinct tokens seen before."""
    context_total: Ids
    """[contexts] sum of the counts of the grams that a context begins."""
    context_kinds: Ids
    """[contexts] distinct tokens that follow a context."""
    discount: float


def numbers(keys: Ids, wanted: Ids) -> Ids:
    """[n] the place of each wanted key among `keys`, -1 for one that is not there."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def count(tokens: Ids, order: int, vocabulary: int) -> list[Order]:
    """The orders 1 to `order` of a Kneser-Ney model of `tokens`."""
    keys, grams = [np.arange(vocabulary)], [tokens]  # grams[n - 1][i]: number of the n-gram that ends at i + n - 1
    for _ in range(2, order + 1):
        suffix = grams[-1][1:]
        unique, inverse = np.unique(suffix * vocabulary + tokens[: len(suffix)], return_inverse=True)
        keys.append(unique)
        grams.append(inverse)
    orders = []
    for length in range(1, order + 1):
        size = len(keys[length - 1])
        if length == order:
            counts = np.bincount(grams[-1], minlength=size)
        else:  # how many different tokens came before it
            counts = np.bincount(keys[length] // vocabulary, minlength=size)
        contexts = len(keys[length - 2]) if length > 1 else 1
        context = np.zeros(size, np.int64)
        if length > 1:  # the context of a gram is the gram one shorter that ends one token earlier
            context[grams[length - 1]] = grams[length - 2][: len(grams[length - 1])]
        seen = counts > 0
        once, twice = int((counts == 1).sum()), int((counts == 2).sum())
        orders.append(
            Order(
                keys=keys[length - 1],
                counts=counts,
                context_total=np.bincount(context, weights=counts, minlength=contexts).astype(np.int64),
                context_kinds=np.bincount(context[seen], minlength=contexts),
                discount=once / max(once + 2 * twice, 1),
            )
        )
    return orders


def bits(orders: list[Order], tokens: Ids, vocabulary: int) -> float:
    """Bits that the model needs for all of `tokens`; each is predicted from those before it."""
    grams = [tokens]
    for order in orders[1:]:
        suffix = grams[-1][1:]
        key = suffix * vocabulary + tokens[: len(suffix)]
        grams.append(np.where(suffix >= 0, numbers(order.keys, key), -1))
    probability = np.full(len(tokens), 1 / vocabulary)
    for length, order in enumerate(orders, 1):
        ending = grams[length - 1]  # of the token at i + length - 1
        where = slice(length - 1, None)
        counts = np.where(ending >= 0, order.counts[ending], 0)
        context = grams[length - 2][: len(ending)] if length > 1 else np.zeros(len(ending), np.int64)
        total = np.where(context >= 0, order.context_total[context], 0)
        kinds = np.where(context >= 0, order.context_kinds[context], 0)
        known = total > 0
        share = np.maximum(counts - order.discount, 0) / np.maximum(total, 1)
        rest = order.discount * kinds / np.maximum(total, 1)
        probability[where] = np.where(known, share + rest * probability[where], probability[where])
    return float(-np.log2(probability).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--tokens", type=int, default=10_000_000)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--read", nargs="*", default=[], help="text that it counts besides")
    parser.add_argument("--score", nargs="*", default=[], help="text that it scores instead of the run's")
    asked = parser.parse_args()
    run = load(asked.run)
    recipe = read_pretraining(asked.run / "config.toml", recorded=True)
    fingerprint, vocabulary = fingerprint_of(run.tokenizer), run.tokenizer.vocabulary.size

    def stores_of(data: Data) -> Stores:
        return prepare(data, run.tokenizer, fingerprint)

    stores = stores_of(attrs.evolve(recipe.data, validation=tuple(asked.score) or recipe.data.validation))
    training = np.concatenate([store.tokens for store in stores.train]).astype(np.int64)[: asked.tokens]
    if asked.read:
        more = stores_of(Data(train=tuple(asked.read)))
        training = np.concatenate([training, *(store.tokens for store in more.train)]).astype(np.int64)
    orders = count(training, asked.order, vocabulary)
    found: dict[str, Any] = {"order": asked.order, "training_tokens": len(training)}
    for name, store in stores.validation.items():
        needed = bits(orders, store.tokens.astype(np.int64), vocabulary)
        found[name] = {"bits_per_byte": needed / store.total_bytes, "tokens": store.total_tokens}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
