"""What differs between tasks for the Trainer: the model, rows as features, scores as answers of lmkit's task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    DataCollatorForMultipleChoice,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import lmkit
from lmkit.checkpoint import of_step
from lmkit.parts.renaming import to_transformers

Rows = Sequence[dict[str, Any]]
Features = list[dict[str, Any]]


class Peer(ABC):
    """A task as transformers' examples do it, on the weights of a run; its head is fresh."""

    model_class: type[PreTrainedModel]

    def __init__(self, run: lmkit.Run, task: Any, labels: Sequence[str]) -> None:
        self.run, self.task, self.config, self.labels = run, task, task.config, list(labels)
        self.numbers = {label: number for number, label in enumerate(labels)}
        folder = of_step(run.folder, run.step).folder("tokenizer")
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)

    def model(self) -> PreTrainedModel:
        """The architecture with a run's weights."""
        encoder: Any = self.run.module.encoder
        shape = encoder.config
        config = BertConfig(
            vocab_size=self.run.tokenizer.vocabulary.size,
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.num_heads,
            intermediate_size=shape.feed_forward or 4 * shape.width,
            max_position_embeddings=shape.positions,
            hidden_dropout_prob=shape.dropout,
            attention_probs_dropout_prob=shape.dropout,
            classifier_dropout=getattr(self.config, "dropout", 0.0),
            layer_norm_eps=shape.eps,
            num_labels=len(self.labels) or 2,
        )
        model = self.model_class(config)
        weights = to_transformers(encoder.transformers_names(), encoder.state_dict())
        missing, unexpected = model.bert.load_state_dict(weights, strict=False)
        if missing or any("pooler" not in name for name in unexpected):  # some of its models have no pooler
            raise SystemExit(f"weights that do not fit: missing {missing}, unexpected {unexpected}")
        return model

    @abstractmethod
    def features(self, rows: Rows) -> Features:
        """What the model reads of rows."""

    @abstractmethod
    def answers(self, rows: Rows, features: Features, scores: Any) -> list[Any]:
        """The answers of lmkit's task that the model's scores stand for."""

    def collator(self) -> Callable[..., Any]:
        made: Callable[..., Any] = DataCollatorWithPadding(self.tokenizer)
        return made

    def read(self, *texts: Any, **options: Any) -> Any:
        """What transformers' tokenizer makes of texts, cut at the task's longest."""
        return self.tokenizer(*texts, max_length=self.config.longest, truncation=True, **options)


class Classes(Peer):
    """The class of a text."""

    model_class = BertForSequenceClassification

    def features(self, rows: Rows) -> Features:
        made = self.read([row["text"] for row in rows])
        return [_item(made, i) | {"labels": self.numbers[str(row["label"])]} for i, row in enumerate(rows)]

    def answers(self, rows: Rows, features: Features, scores: Any) -> list[Any]:
        return [{"label": self.labels[best]} for best in scores.argmax(-1)]


class Tags(Peer):
    """The tag of each word, at its first piece."""

    model_class = BertForTokenClassification

    def features(self, rows: Rows) -> Features:
        made = self.read([row["tokens"] for row in rows], is_split_into_words=True)
        features = []
        for i, row in enumerate(rows):
            tags, words = self.task.labels(row), made.word_ids(i)
            firsts = [
                w if w is not None and w != before else -1 for before, w in zip([None, *words], words, strict=False)
            ]
            labels = [self.numbers[tags[w]] if w >= 0 else -100 for w in firsts]
            features.append(_item(made, i) | {"labels": labels})
        return features

    def answers(self, rows: Rows, features: Features, scores: Any) -> list[Any]:
        answers = []
        for row, feature, found in zip(rows, features, scores, strict=True):
            said = [self.labels[t.argmax()] for t, gold in zip(found, feature["labels"], strict=False) if gold != -100]
            answers.append({"tags": said + ["O"] * (len(row["tokens"]) - len(said))})  # what was cut off is O
        return answers

    def collator(self) -> Callable[..., Any]:
        made: Callable[..., Any] = DataCollatorForTokenClassification(self.tokenizer)
        return made


class Spans(Peer):
    """The answer to a question in a context that is read at once."""

    model_class = BertForQuestionAnswering

    def features(self, rows: Rows) -> Features:
        made = self.read([r["question"] for r in rows], [r["context"] for r in rows], return_offsets_mapping=True)
        features = []
        for i, row in enumerate(rows):
            inside = [n for n, part in enumerate(made.sequence_ids(i)) if part == 1]
            offsets, answer = made["offset_mapping"][i], row["answers"][0]
            start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
            covered = [n for n in inside if offsets[n][0] < end and offsets[n][1] > start] or [0]
            features.append(
                {k: made[k][i] for k in ("input_ids", "token_type_ids", "attention_mask")}
                | {"start_positions": covered[0], "end_positions": covered[-1]}
            )
        return features

    def answers(self, rows: Rows, features: Features, scores: Any) -> list[Any]:
        made = self.read([r["question"] for r in rows], [r["context"] for r in rows], return_offsets_mapping=True)
        answers = []
        for i, (row, start, end) in enumerate(zip(rows, *scores, strict=True)):
            inside = np.array([n for n, part in enumerate(made.sequence_ids(i)) if part == 1])
            sums = start[inside][:, None] + end[inside][None, :]
            sums[np.tril_indices(len(inside), -1)] = -np.inf
            first, last = np.unravel_index(sums.argmax(), sums.shape)
            offsets = made["offset_mapping"][i]
            begin, stop = offsets[inside[first]][0], offsets[inside[last]][1]
            answers.append({"answer": row["context"][begin:stop], "start": begin, "end": stop})
        return answers


class Choices(Peer):
    """The ending of a prompt."""

    model_class = BertForMultipleChoice

    def features(self, rows: Rows) -> Features:
        features = []
        for row in rows:
            made = self.read([row["prompt"]] * len(row["endings"]), row["endings"])
            features.append(dict(made) | {"labels": int(row["label"])})
        return features

    def answers(self, rows: Rows, features: Features, scores: Any) -> list[Any]:
        best = torch.from_numpy(scores).argmax(-1).tolist()
        return [{"choice": n, "ending": row["endings"][n]} for n, row in zip(best, rows, strict=True)]

    def collator(self) -> Callable[..., Any]:
        made: Callable[..., Any] = DataCollatorForMultipleChoice(self.tokenizer)
        return made


def _item(made: Any, number: int) -> dict[str, Any]:
    return {name: values[number] for name, values in made.items()}


PEERS: dict[str, type[Peer]] = {
    "classification": Classes,
    "token-classification": Tags,
    "question-answering": Spans,
    "multiple-choice": Choices,
}
