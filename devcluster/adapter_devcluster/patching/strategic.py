"""Strategic merge patches (``apimachinery/pkg/util/strategicpatch``, v0.36): merge patches that know keys of lists.

What a field's list or map does in a patch is in its shape: ``patch_strategies`` and ``patch_merge_key``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from adapter_devcluster.objects import Object, copy
from adapter_devcluster.patching.failures import go_type, printed, unexpected, unprocessable
from adapter_devcluster.patching.shapes import DEDUCED, Shape
from adapter_devcluster.statuses import bad_request

Json: TypeAlias = Any
_DIRECTIVE: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_DELETE_ITEMS: Final = "$deleteFromPrimitiveList"
_ORDER: Final = "$setElementOrder"


def strategic_patch(target: Object, patch: Object, shape: Shape) -> Object:
    """Return ``target`` with a strategic merge patch applied.

    Raises StatusError: 400 for malformed directives, 422 for lists of lists, and, as the server does, 500 without a
    reason for the rest, such as an item without its merge key.
    """
    return _merge_maps(copy(target), copy(patch), shape)


def _merge_maps(original: Object, patch: Object, shape: Shape) -> Object:
    """Merge a patch into ``original``; both are the caller's own and are used up."""
    if _DIRECTIVE in patch:
        return _replaced(patch)
    _retain_keys(original, patch)
    for name in [name for name in patch if name.startswith(_ORDER)]:
        _merge_in_order(original, patch, name, patch.pop(name), shape)
    for name, value in patch.items():
        if name.startswith(_DELETE_ITEMS):
            _delete_items(original, _field_of(name, _DELETE_ITEMS), value)
        elif value is None:
            original.pop(name, None)
        else:
            _merge_field(original, name, value, shape)
    return original


def _merge_field(original: Object, name: str, value: Json, shape: Shape) -> None:
    old = original.get(name)
    field = shape.child(name) or DEDUCED
    if isinstance(old, dict) and isinstance(value, dict):
        replaces = _strategy(field) == "replace"
        original[name] = value if replaces else _merge_maps(old, value, field)
    elif isinstance(old, list) and isinstance(value, list):
        original[name] = _merge_lists(old, value, field)
    else:
        _discard_nulls(value)
        original.pop(name, None)
        for kept in _without_directives(value):
            original[name] = kept


def _strategy(field: Shape) -> str:
    return next((one for one in field.patch_strategies if one != "retainKeys"), "")


def _replaced(patch: Object) -> Object:
    directive = patch[_DIRECTIVE]
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _DIRECTIVE}
    if directive == "delete":
        return {}
    raise unexpected(f"unknown patch type: {printed(directive)} in map: {printed(patch)}")


def _retain_keys(original: Object, patch: Object) -> None:
    """Clear what a union's ``$retainKeys`` does not name."""
    if _RETAIN_KEYS not in patch:
        return
    keys = patch.pop(_RETAIN_KEYS)
    ours = [name for name, value in patch.items() if value is not None and not name.startswith((_DELETE_ITEMS, _ORDER))]
    if not isinstance(keys, list) or any(name not in keys for name in ours):
        raise bad_request("invalid patch format of retainKeys")
    for name in [name for name in original if name not in keys]:
        del original[name]


def _field_of(directive: str, prefix: Literal["$deleteFromPrimitiveList", "$setElementOrder"]) -> str:
    """Return the field that a directive is about: ``$setElementOrder/FIELD``. Raises StatusError."""
    start, slash, name = directive.partition("/")
    if start != prefix or not slash:
        kind = "primitive" if prefix == _DELETE_ITEMS else "setElementOrder"
        raise bad_request(f"invalid patch format of {kind} list")
    return name


def _delete_items(original: Object, name: str, value: Json) -> None:
    old = original.get(name)
    if value is None:
        original.pop(name, None)
    elif isinstance(old, list) and isinstance(value, list) and (old or value):
        if _are_maps(old, value):
            raise unexpected("cannot delete maps with a list of primitives")
        gone = set(map(_token, value))
        original[name] = [item for item in old if _token(item) not in gone]


def _merge_in_order(original: Object, patch: Object, directive: str, order: Json, shape: Shape) -> None:
    """Merge the list of a ``$setElementOrder``, and put its items in that order."""
    name = _field_of(directive, _ORDER)
    old, new = original.get(name, []), patch.get(name, [])
    for one in (order, old, new):
        _expect(one, list)
    field = shape.child(name)
    if field is None:
        raise unexpected(f'unable to find api field "{name}"')
    key = field.patch_merge_key
    _check_order(new, order, key)
    if name in original and name in patch:
        merged = _merge_lists(old, new, field)
    elif name in patch:
        (merged,) = _without_directives(new)
    elif name in original:
        merged = old
    else:
        return
    patch.pop(name, None)
    if _are_maps(old, new):
        _check_keys(key, merged, order)
    else:
        key = ""
    original[name] = _arranged(merged, order, _live_order(old, new, merged, key), key)


def _live_order(old: list[Json], new: list[Json], merged: list[Json], key: str) -> list[Json]:
    """Return the live list by which items that are not in ``$setElementOrder`` find their places.

    Upstream has it after the merge: new items have come where, for deleted ones, there was room.
    """
    left = _places(merged, key)
    kept = [item for item in old if _token(item, key) in left]
    before = _places(old, key)
    added = [item for item in new if _token(item, key) in left and _token(item, key) not in before]
    return (kept + added)[: len(old)]


def _check_order(patch: Sequence[Json], order: Sequence[Json], key: str) -> None:
    """Raise StatusError unless the patch's items stand in the order's order."""
    if not order or not patch:
        return
    if key:
        for one in patch:
            _expect(one, dict)
    items = [one for one in patch if not (isinstance(one, dict) and _DIRECTIVE in one)]
    position = 0
    for item in items:
        if key:
            _check_keys(key, [item])
        while position < len(order):
            if key:
                _check_keys(key, order[position : position + 1])
            position += 1
            if _token(item, key) == _token(order[position - 1], key):
                break
        else:
            raise unexpected(
                f"The order in patch list:\n{printed(patch)}\n doesn't match {_ORDER} list:\n{printed(order)}\n"
            )


def _merge_lists(original: list[Json], patch: list[Json], field: Shape) -> list[Json]:
    if _strategy(field) != "merge":
        return patch
    if not original and not patch:
        return original
    key = field.patch_merge_key
    if not _are_maps(original, patch):
        unique = {_token(item): item for item in (*original, *patch)}
        return _arranged(list(unique.values()), patch, original, "")
    if not key:
        raise unexpected("cannot merge lists without merge key for struct")
    original, patch = _obey_directives(original, patch, key)
    merged = list(original)
    places = _places([item for item in merged if key in item], key)
    for item in patch:
        _check_keys(key, [item])
        found = places.get(_token(item[key]))
        if found is None:
            places[_token(item[key])] = len(merged)
            merged.append(item)
        else:
            merged[found] = _merge_maps(merged[found], item, field.items)
    _check_keys(key, merged)
    return _arranged(merged, patch, original, key)


def _obey_directives(original: list[Json], patch: list[Json], key: str) -> tuple[list[Json], list[Json]]:
    """Carry out the items of a list that are directives; returns the list to patch and the rest of the patch."""
    rest, gone, replace = [], set(), False
    for item in patch:
        directive = item.get(_DIRECTIVE)
        if _DIRECTIVE not in item:
            rest.append(item)
        elif directive == "delete":
            _check_keys(key, [item])
            gone.add(_token(item[key]))
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise unexpected("merging lists cannot yet be specified in the patch")
        else:
            raise unexpected(f"unknown patch type: {printed(directive)} in map: {printed(item)}")
    if replace:
        return rest, []
    return [one for one in original if key not in one or _token(one[key]) not in gone], rest


def _arranged(items: list[Json], order: Sequence[Json], live: Sequence[Json], key: str) -> list[Json]:
    """Put items named in ``order`` in that order, and the others among them as near as can be to where they were."""
    ranks, places = _places(order, key), _places(live, key)
    named = sorted((one for one in items if _token(one, key) in ranks), key=lambda one: ranks[_token(one, key)])
    others = [one for one in items if _token(one, key) not in ranks]
    others = sorted(others, key=lambda one: places.get(_token(one, key), -1))[::-1]
    out: list[Json] = []
    for item in named:
        place = places.get(_token(item, key), -1)
        while others and -1 < places.get(_token(others[-1], key), -1) < place:
            out.append(others.pop())
        out.append(item)
    return out + others[::-1]


def _places(items: Sequence[Json], key: str) -> dict[Hashable, int]:
    """Return where each item is first."""
    found: dict[Hashable, int] = {}
    for position, item in enumerate(items):
        found.setdefault(_token(item, key), position)
    return found


def _token(item: Json, key: str = "") -> Hashable:
    """Return what tells an item from others, of a map its ``key``. As in Go, 1, 1.0 and true are three values."""
    value = item.get(key) if key and isinstance(item, dict) else item
    return type(value), printed(value) if isinstance(value, dict | list) else value


def _are_maps(*lists: Sequence[Json]) -> bool:
    """Whether the items of lists are maps. Raises StatusError if they are lists or of several types."""
    types = list(dict.fromkeys(type(item) for one in lists for item in one))
    if types[:1] == [list]:
        raise unprocessable()
    if len(types) > 1:
        raise unexpected(f"list element types are not identical: {printed([list(one) for one in lists])}")
    return types == [dict]


def _check_keys(key: str, *lists: Sequence[Json]) -> None:
    """Raise StatusError if an item has no merge key."""
    for item in (item for one in lists for item in one):
        _expect(item, dict)
        if key not in item:
            raise unexpected(f"map: {printed(item)} does not contain declared merge key: {key}")


def _expect(value: Json, wanted: type) -> None:
    if not isinstance(value, wanted):
        raise unexpected(f"expected a {go_type(wanted())}, but received a {go_type(value)}")


def _discard_nulls(value: Json) -> None:
    for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        _discard_nulls(item)
    if isinstance(value, dict):
        for name in [name for name, item in value.items() if item is None]:
            del value[name]


def _without_directives(value: Json) -> list[Json]:
    """Return, in a list, a value without what is only a directive inside; nothing if it is one itself."""
    if isinstance(value, Mapping):
        if _DIRECTIVE in value:
            return []
        return [{name: one for name, item in value.items() for one in _without_directives(item)}]
    if isinstance(value, list):
        return [[one for item in value for one in _without_directives(item)]]
    return [value]
