"""Are a schema's defaults valid? Each must be pruned, well typed, and keep its own schema's rules.

The checks are those of ``apiextensions-apiserver/pkg/apiserver/schema/defaulting/validation.go`` (v0.36).
A default inside of an embedded object's metadata is checked by its schema alone; the whole metadata is
checked once an object has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapter_devcluster.apiextensions.embedded import EmbeddedError, check_embedded, decode_embedded
from adapter_devcluster.apiextensions.errors import FieldError, Path, child, index, invalid
from adapter_devcluster.apiextensions.json_values import copy, deep_equal
from adapter_devcluster.apiextensions.pruning import prune
from adapter_devcluster.apiextensions.rules import check_rules, rule_tree
from adapter_devcluster.apiextensions.tree import Node
from adapter_devcluster.apiextensions.validation import validate


def check_defaults(node: Node, path: Path) -> Iterator[FieldError]:
    """Find invalid defaults below a schema; ``additionalProperties`` is not looked into, as in the server."""
    if node.default is not None:
        yield from _check(node, path)
    if node.items is not None:
        yield from check_defaults(node.items, child(path, "items"))
    for name, sub in node.properties.items():
        yield from check_defaults(sub, index(child(path, "properties"), name))


def _check(node: Node, path: Path) -> Iterator[FieldError]:
    at = child(path, "default")
    pruned = copy(node.default)
    prune(pruned, node, is_root=node.embedded)
    if not deep_equal(pruned, node.default):
        yield invalid(at, node.default, "must not have unknown fields")
    try:
        decode_embedded(copy(node.default), node, at)
    except EmbeddedError as error:
        yield error.error
        return
    errors = list(check_embedded(node.default, node, at)) or validate(node.default, node, at).errors
    yield from errors or _check_rules(node, at)


def _check_rules(node: Node, path: str) -> Iterator[FieldError]:
    """Run a default's rules as on an update that does not change it, then as on a creation."""
    tree = rule_tree(node, is_root=node.embedded)
    if tree is None:
        return
    broken = list(check_rules(tree, node.default, node.default, path))
    broken = broken or list(check_rules(tree, node.default, None, path))
    yield from (one.error for one in broken)
