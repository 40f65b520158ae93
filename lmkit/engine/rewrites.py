"""Rewrites of a training step's graph, by which torch's compiler makes better code of it for a CPU.

Each was among the largest parts of a step in a profile (benchmarks/log.md, "A processor with AMX").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph, Node

_aten = torch.ops.aten
_convert = torch.ops.prims.convert_element_type.default
_MASKED = _aten._unsafe_masked_index_put_accumulate.default
_ADDITIONS = {_MASKED, _aten.index_put.default, _aten._unsafe_index_put.default}
_ROWS = 64  # that are summed at once: some 100 kB, which a core's own cache holds


class Rewrites(CustomGraphPass):
    """What torch.compile is given; `graph` is that of a forward and backward pass, or of a forward pass alone."""

    def __call__(self, graph: Graph) -> None:
        for node in list(graph.nodes):
            if node.target is _aten.addmm.default:
                _add_bias_later(graph, node)
            elif node.target is _aten.sum.dim_IntList:
                _sum_in_two_stages(graph, node)
            elif node.target in _ADDITIONS:
                _add_row_by_row(graph, node)
            elif node.target is _aten.tanh.default:
                _by_sigmoid(graph, node)
        graph.eliminate_dead_code()

    def uuid(self) -> bytes:
        """Of this file's text: a change of it makes what was compiled before stale."""
        return get_hash_for_files((__file__,))


def _add_bias_later(graph: Graph, node: Node) -> None:
    """A product, then its bias: `addmm` copies the bias to every row first, and the next kernel adds it for free."""
    bias, left, right = node.args
    if node.kwargs or _value(node).dtype not in (torch.bfloat16, torch.float16) or _value(bias).dim() != 1:
        return
    with graph.inserting_before(node):
        product = _call(graph, _convert, _call(graph, _aten.mm.default, left, right), torch.float32)
        added = _call(graph, _aten.add.Tensor, product, _call(graph, _convert, bias, torch.float32))
        _replace(graph, node, _call(graph, _convert, added, _value(node).dtype))


def _sum_in_two_stages(graph: Graph, node: Node) -> None:
    """Sum [T, N] over T as [T / rows, rows, N]: the compiler walks down a column of all tokens, past every cache."""
    given, dims = _value(node.args[0]), cast(Sequence[int], node.args[1])
    tokens, width = (*given.shape, 0)[:2]
    if given.dim() != 2 or list(dims) != [0] or tokens < 4 * _ROWS or tokens % _ROWS or width < 64:
        return
    with graph.inserting_before(node):
        parts = _call(graph, _aten.reshape.default, node.args[0], [tokens // _ROWS, _ROWS, width])
        partial = _call(graph, _aten.sum.dim_IntList, parts, [1], dtype=torch.float32)
        keep = node.args[2:3]
        _replace(graph, node, _call(graph, _aten.sum.dim_IntList, partial, [0], *keep, dtype=_value(node).dtype))


def _add_row_by_row(graph: Graph, node: Node) -> None:
    """Add [..., N] to a table's rows by `scatter_add`, which sorts them: the compiler adds each number atomically.

    Those additions also come in the order in which the threads happen to arrive: no run would repeat another's bits.
    """
    if node.target is _MASKED:
        table, mask, indices, added = cast(Any, node.args)
    else:
        (table, indices, added, *adds), mask = cast(Any, node.args), None
        if adds != [True]:
            return
    if len(indices) != 1 or indices[0] is None or _value(indices[0]).dtype != torch.int64:
        return
    [places] = indices
    size, width = (*_value(table).shape, 0)[:2]
    if _value(table).dim() != 2 or _value(added).shape != (*_value(places).shape, width):
        return
    with graph.inserting_before(node):
        kept = added if mask is None else _call(graph, _aten.where.ScalarOther, mask, added, 0.0)
        kept = _call(graph, _aten.reshape.default, kept, [-1, width])
        rows = _call(graph, _aten.reshape.default, places, [-1, 1])
        rows = _call(graph, _aten.remainder.Scalar, rows, size)  # one may be counted from the end, or masked and beyond
        rows = _call(graph, _aten.expand.default, rows, list(_value(kept).shape))
        _replace(graph, node, _call(graph, _aten.scatter_add.default, table, 0, rows, kept))


def _by_sigmoid(graph: Graph, node: Node) -> None:
    """tanh(x) as 2 sigmoid(2 x) - 1 where 1 is added to it, as in GELU: of the two only exp is quick."""
    adds_one = any(user.target is _aten.add.Tensor and 1 in user.args for user in node.users)
    if not adds_one or _value(node).dtype != torch.float32:
        return
    with graph.inserting_before(node):
        doubled = _call(graph, _aten.sigmoid.default, _call(graph, _aten.mul.Tensor, node.args[0], 2.0))
        doubled = _call(graph, _aten.mul.Tensor, doubled, 2.0)
        _replace(graph, node, _call(graph, _aten.sub.Tensor, doubled, 1.0))


def _value(node: object) -> Tensor:
    """What a node gives, as a tensor without numbers."""
    assert isinstance(node, Node)
    found = node.meta["val"]
    assert isinstance(found, Tensor)
    return found


def _call(graph: Graph, target: Any, *args: Any, **kwargs: Any) -> Node:
    """A new node, and what it gives."""
    node = graph.call_function(target, args, kwargs)
    given = torch.fx.node.map_arg((args, kwargs), lambda n: n.meta["val"])
    node.meta["val"] = target(*given[0], **given[1])
    return node


def _replace(graph: Graph, node: Node, by: Node) -> None:
    node.replace_all_uses_with(by)
    graph.erase_node(node)
