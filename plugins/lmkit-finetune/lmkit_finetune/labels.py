"""Labels: what objectives that choose among them ask of their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def check_labels(labels: Sequence[str], class_weights: Mapping[str, float]) -> None:
    """Raise ValueError for no label, for one that comes twice, and for a weight of one that is not there."""
    if not labels:
        raise ValueError("expected at least one label")
    if len(set(labels)) < len(labels):
        raise ValueError(f"labels {list(labels)} are not all different")
    if unknown := sorted(class_weights.keys() - set(labels)):
        raise ValueError(f"class_weights names {', '.join(unknown)}, which is none of {', '.join(labels)}")
