"""What differs between two versions of an object, as sets of fields (structured-merge-diff's ``typed.Compare``, v6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from adapter_devcluster.apiextensions.go_text import quote
from adapter_devcluster.objects import Object
from adapter_devcluster.patching.field_sets import LEAF, FieldSet, key_element, member, value_element
from adapter_devcluster.patching.shapes import DEDUCED, Shape

# What was removed and what was set, below one path element; None is nothing.
_Differences: TypeAlias = tuple[FieldSet | None, FieldSet | None]


class ItemError(ValueError):
    """An item of a keyed list or of a set that can't be told from others; the message is upstream's."""


def compare(old: Object, new: Object, shape: Shape) -> tuple[FieldSet, FieldSet]:
    """Return the fields that ``new`` lacks, and those that it adds or has with another value.

    Raises ItemError.
    """
    return _compare_maps(old, new, shape)


def same(a: Any, b: Any) -> bool:  # noqa: ANN401 - JSON values
    """Whether two values are equal. Unlike in Python, 1 and true are not; 1 and 1.0 are."""
    if a is b:
        return True
    if a != b:
        return False
    if isinstance(a, dict):
        return all(same(item, b[name]) for name, item in a.items())
    if isinstance(a, list):
        return all(map(same, a, b))
    return isinstance(a, bool) is isinstance(b, bool)


def element_of(item: Any, shape: Shape) -> str:  # noqa: ANN401 - a JSON value
    """Return the path element of an item of a list of this shape, which is a set or keyed. Raises ItemError."""
    if shape.list_type == "set":
        return _set_element(item)
    if not isinstance(item, dict):
        raise ItemError(
            f"associative list with keys may not have {'a null element' if item is None else 'non-map elements'}"
        )
    keys = shape.map_keys
    if len(keys) == 1 and keys[0] in item:
        return key_element({keys[0]: item[keys[0]]})
    found = {}
    for name in keys:
        if name in item:
            found[name] = item[name]
        else:
            field = shape.items.child(name)
            if field is not None and field.default is not None:
                found[name] = field.default
    if not found:
        listed = " ".join(map(quote, keys))
        raise ItemError(
            f"associative list with keys has an element that omits all key fields [{listed}] "
            "(and doesn't have default values for any key fields)"
        )
    return key_element(found)


def _set_element(item: Any) -> str:  # noqa: ANN401 - a JSON value
    if isinstance(item, dict):
        raise ItemError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ItemError("not supported: associative list with lists as elements")
    if item is None:
        raise ItemError("associative list without keys has an element that's an explicit null")
    return value_element(item)


def items_by_element(items: list[Any], shape: Shape) -> dict[str, list[Any]]:
    """Return the items of a set or of a keyed list; more than one under an element are duplicates. Raises ItemError."""
    found: dict[str, list[Any]] = {}
    for position, item in enumerate(items):
        try:
            found.setdefault(element_of(item, shape), []).append(item)
        except ItemError as error:
            raise ItemError(f"element {position}: {error}") from None
    return found


def is_granular_map(value: Any, shape: Shape) -> bool:  # noqa: ANN401 - a JSON value
    """Whether a value is a map or a struct that is merged field by field. Null is an empty one."""
    return shape.map_type == "granular" and (value is None or isinstance(value, dict))


def is_granular_list(value: Any, shape: Shape) -> bool:  # noqa: ANN401 - a JSON value
    """Whether a value is a list that is merged item by item. Null is an empty one."""
    return shape.list_type in ("set", "map") and (value is None or isinstance(value, list))


def _compare_maps(old: Mapping[str, Any], new: Mapping[str, Any], shape: Shape) -> tuple[FieldSet, FieldSet]:
    removed: FieldSet = {}
    changed: FieldSet = {}
    parts = shape.expand()
    fields, other = parts.fields, parts.values or DEDUCED
    for name, value in new.items():
        if name not in old:
            changed[f"f:{name}"] = _whole(value, fields.get(name, other))
        elif not same(old[name], value):
            gone, here = _compare(old[name], value, fields.get(name, other))
            if gone is not None:
                removed[f"f:{name}"] = gone
            if here is not None:
                changed[f"f:{name}"] = here
    for name, value in old.items():
        if name not in new:
            removed[f"f:{name}"] = _whole(value, fields.get(name, other))
    return removed, changed


def _compare(old: Any, new: Any, shape: Shape) -> _Differences:  # noqa: ANN401 - JSON values that differ
    if (old or new) and is_granular_map(old, shape) and is_granular_map(new, shape):
        removed, changed = _compare_maps(old or {}, new or {}, shape)
    elif (old or new) and is_granular_list(old, shape) and is_granular_list(new, shape):
        removed, changed = _compare_lists(old or [], new or [], shape)
    else:
        # A scalar, one unit, or values of two kinds: what was below the old one is gone as well.
        return _inside(old, shape) or None, member(_inside(new, shape))
    return removed or None, changed or None


def _compare_lists(old: list[Any], new: list[Any], shape: Shape) -> tuple[FieldSet, FieldSet]:
    removed: FieldSet = {}
    changed: FieldSet = {}
    before, after = items_by_element(old, shape), items_by_element(new, shape)
    for element, items in after.items():
        was = before.get(element, [])
        if same(was, items):
            continue
        if len(was) > 1 or len(items) > 1:
            _compare_duplicates(element, was, items, shape, removed, changed)
        elif not was:
            changed[element] = _whole(items[0], shape.items)
        else:
            gone, here = _compare(was[0], items[0], shape.items)
            if gone is not None:
                removed[element] = gone
            if here is not None:
                changed[element] = here
    for element, items in before.items():
        if element not in after:
            removed[element] = _whole(items[0], shape.items) if len(items) == 1 else LEAF
    return removed, changed


def _compare_duplicates(
    element: str, old: list[Any], new: list[Any], shape: Shape, removed: FieldSet, changed: FieldSet
) -> None:
    """Compare items where one side has duplicates: these are one unit."""
    if len(new) > 1:
        changed[element] = LEAF
        if len(old) == 1:
            removed[element] = _whole(old[0], shape.items)
    else:
        changed[element] = _whole(new[0], shape.items)
        removed[element] = LEAF


def _whole(value: Any, shape: Shape) -> FieldSet:  # noqa: ANN401 - a JSON value
    """Return the node of a value that is all new or all gone: itself and everything inside."""
    return member(_inside(value, shape))


def _inside(value: Any, shape: Shape) -> FieldSet:  # noqa: ANN401 - a JSON value
    """Return everything inside a value that is merged in parts."""
    if not value:
        return LEAF
    if isinstance(value, dict) and shape.map_type == "granular":
        parts = shape.expand()
        fields, other = parts.fields, parts.values or DEDUCED
        return {f"f:{name}": _whole(item, fields.get(name, other)) for name, item in value.items()}
    if isinstance(value, list) and shape.list_type in ("set", "map"):
        found = items_by_element(value, shape)
        inside = shape.items
        return {element: _whole(items[0], inside) if len(items) == 1 else LEAF for element, items in found.items()}
    return LEAF
