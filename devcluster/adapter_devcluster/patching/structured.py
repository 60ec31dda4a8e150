"""What server-side apply does with values by their shapes: check, merge, take away, and list the fields of.

The rules are those of structured-merge-diff's ``typed`` (v6): ``validate.go``, ``merge.go``, ``remove.go`` and
``tofieldset.go``. Nothing here changes its arguments; results share parts with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from adapter_devcluster.patching.comparison import (
    ItemError,
    element_of,
    is_granular_list,
    is_granular_map,
    items_by_element,
)
from adapter_devcluster.patching.failures import go_syntax, go_type, printed
from adapter_devcluster.patching.field_sets import LEAF, SELF, FieldSet, is_member, member, path_text
from adapter_devcluster.patching.shapes import DEDUCED, Shape

Json: TypeAlias = Any
_SCALAR_WORDS: Final = {"numeric": "numeric (int or float)", "untyped": "any scalar"}
_SCALAR_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "numeric": (int, float),
    "boolean": (bool,),
    "untyped": (str, int, float, bool),
}


def problems(value: Json, shape: Shape, *, duplicates: bool, path: str = "") -> Iterator[str]:
    """Say where a value does not have its shape, as ``PATH: PROBLEM``. ``duplicates``: lists may have them."""
    where = f"{path}: " if path else ""
    if value is None:
        return
    if isinstance(value, dict) and shape.map_type:
        yield from _map_problems(value, shape, duplicates, path)
    elif isinstance(value, list) and shape.list_type:
        yield from _list_problems(value, shape, duplicates, path)
    elif shape.scalar:
        if type(value) not in _SCALAR_TYPES[shape.scalar]:
            yield f"{where}expected {_SCALAR_WORDS.get(shape.scalar, shape.scalar)}, got {_found(value, shape)}"
    else:
        yield f"{where}expected {'map' if shape.map_type else 'list'}, got {_found(value, shape)}"


def _found(value: Json, shape: Shape) -> str:
    """Describe a wrong value as upstream happens to."""
    if shape.scalar == "string":
        return f"&value.valueUnstructured{{Value:{go_syntax(value)}}}"
    return go_type(value) if shape.scalar == "numeric" else f"&{{{printed(value)}}}"


def _map_problems(value: Mapping[str, Json], shape: Shape, duplicates: bool, path: str) -> Iterator[str]:
    for name, item in value.items():
        inside = shape.child(name)
        if inside is None:
            yield f"{path}.{name}: field not declared in schema"
        else:
            yield from problems(item, inside, duplicates=duplicates, path=f"{path}.{name}")


def _list_problems(value: list[Json], shape: Shape, duplicates: bool, path: str) -> Iterator[str]:
    seen = set()
    for position, item in enumerate(value):
        element = f"i:{position}"
        if shape.list_type != "atomic":
            try:
                element = element_of(item, shape)
            except ItemError as error:
                yield f"{path}: element {position}: {error}"
                return
            if element in seen and not duplicates:
                yield f"{path}: duplicate entries for key {path_text((element,))}"
            seen.add(element)
        yield from problems(item, shape.items, duplicates=duplicates, path=path + path_text((element,)))


def fields_of(value: Json, shape: Shape) -> FieldSet:
    """Return the fields that a value sets. Structs are not among them, but list items and entries of maps are.

    Raises ItemError.
    """
    if value and is_granular_map(value, shape):
        return _map_fields(value, shape)
    if value and is_granular_list(value, shape):
        found = items_by_element(value, shape)
        items = shape.items
        return {
            element: member(fields_of(same[0], items)) if len(same) == 1 else LEAF for element, same in found.items()
        }
    return LEAF


def _map_fields(value: Mapping[str, Json], shape: Shape) -> FieldSet:
    found: FieldSet = {}
    parts = shape.expand()
    for name, item in value.items():
        inside = parts.fields.get(name)
        below = fields_of(item, inside or parts.values or DEDUCED)
        if inside is None or item is None:
            below = member(below)
        elif not below and (is_granular_list(item, inside) or (item and is_granular_map(item, inside))):
            # An empty list of which others may own items, or a struct of nothing but such lists, says nothing.
            continue
        found[f"f:{name}"] = below
    return found


def with_structs(fields: FieldSet, shape: Shape) -> FieldSet:
    """Add to a set the declared fields on the way to its members, as if they were members."""
    found: FieldSet = {}
    for element, below in fields.items():
        if not below:
            found[element] = LEAF
            continue
        field = element[2:] if element[0] == "f" else None
        inside = shape.items if field is None else shape.child(field)
        node = with_structs(below, inside or DEDUCED)
        found[element] = {SELF: LEAF, **node} if field in shape.fields else node
    return found


def merge(old: Json, new: Json, shape: Shape) -> Json:
    """Return ``old`` with what ``new`` sets; nothing but units is replaced. Raises ItemError."""
    if (old or new) and is_granular_map(old, shape) and is_granular_map(new, shape):
        old, new = old or {}, new or {}
        parts = shape.expand()
        merged = dict(old)
        for name, item in new.items():
            merged[name] = _merged(old, item, name, parts.fields.get(name) or parts.values or DEDUCED)
        return merged
    if (old or new) and is_granular_list(old, shape) and is_granular_list(new, shape):
        return _merge_lists(old or [], new or [], shape)
    return new


def _merged(old: Mapping[str, Json], item: Json, name: str, shape: Shape) -> Json:
    return merge(old[name], item, shape) if name in old else item


def _merge_lists(old: list[Json], new: list[Json], shape: Shape) -> list[Json]:
    """Merge items; those of ``new`` in its order, the others as near as can be to where they were."""
    ours = {element: items[0] if len(items) == 1 else None for element, items in items_by_element(old, shape).items()}
    theirs = {element: items[0] for element, items in items_by_element(new, shape).items()}
    left, right = [element_of(item, shape) for item in old], list(theirs)
    shared = iter([element for element in right if element in ours])
    awaited = next(shared, None)
    merged: dict[str, Json] = {}
    out: list[Json] = []
    i = j = 0
    while i < len(left) or j < len(right):
        element = left[i] if i < len(left) else None
        if element is not None and element not in theirs:
            out.append(old[i])
            i += 1
            continue
        wanted = right[j] if j < len(right) else None
        if wanted is None or (element not in (None, wanted) and awaited not in (None, element)):
            # The item of the old list has its place already, or will have it where the new list wants it.
            i += 1
            continue
        i += element == wanted or element in merged
        merged[wanted] = merge(ours[wanted], theirs[wanted], shape.items) if wanted in ours else theirs[wanted]
        out.append(merged[wanted])
        j += 1
        if wanted == awaited:
            awaited = next(shared, None)
    return out


def remove(value: Json, fields: FieldSet, shape: Shape) -> Json:
    """Return a value without these fields and what is in them; null if nothing is left of it, as upstream has it."""
    if isinstance(value, dict) and is_granular_map(value, shape):
        kept = ((name, _kept(item, fields.get(f"f:{name}"), shape.child(name))) for name, item in value.items())
        return {name: found[0] for name, found in kept if found} or None
    if isinstance(value, list) and is_granular_list(value, shape):
        left = (_kept(item, fields.get(element_of(item, shape)), shape.items) for item in value)
        return [found[0] for found in left if found and found[0] is not None] or None
    # A unit from which something is to be taken goes as a whole, and a scalar has nothing inside.
    return None if isinstance(value, dict | list) else value


def _kept(item: Json, fields: FieldSet | None, shape: Shape | None) -> tuple[Json] | None:
    """Return, in a tuple, what is left of an item; None if the item itself goes."""
    if fields is None:
        return (item,)
    return None if is_member(fields) else (remove(item, fields, shape or DEDUCED),)
