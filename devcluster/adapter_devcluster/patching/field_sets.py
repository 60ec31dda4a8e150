"""Sets of fields, in the form of ``FieldsV1``: the set is its JSON.

A set is a tree of path elements: ``f:NAME`` a field, ``k:{...}`` a list item by its keys, ``v:VALUE`` an item of a
list that is a set, ``i:N`` an item by position. An element without children is a member of the set; one with
children is a member if ``.`` is among them. The root is never a member. Keeping sets in this form makes reading and
writing them free, and all of a path's elements comparable as strings; `parse` makes foreign ones canonical.

Sets are shared and never changed in place. The operations are those of structured-merge-diff's
``fieldpath.Set`` (v6).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring
from typing import Any, Final, TypeAlias

from adapter_devcluster.apiextensions.go_text import number, quote

FieldSet: TypeAlias = dict[str, "FieldSet"]
Path: TypeAlias = tuple[str, ...]

SELF: Final = "."
# A member without children; also the empty set.
LEAF: Final[FieldSet] = {}
_ONLY_SELF: Final[FieldSet] = {SELF: LEAF}


def field_set(*paths: tuple[str, ...]) -> FieldSet:
    """Return the set of fields at these paths of names."""
    found: FieldSet = {}
    for path in paths:
        one: FieldSet = LEAF
        for name in reversed(path):
            one = {f"f:{name}": one}
        found = union(found, one)
    return found


def key_element(keys: Mapping[str, Any]) -> str:
    """Return the path element of the list item with these key fields."""
    if len(keys) == 1:
        # The usual case, and much faster than a JSON encoder.
        ((name, value),) = keys.items()
        if isinstance(value, str):
            return f"k:{{{encode_basestring(name)}:{encode_basestring(value)}}}"
    return f"k:{_compact({name: keys[name] for name in sorted(keys)})}"


def value_element(value: Any) -> str:  # noqa: ANN401 - any scalar
    """Return the path element of this item of a set."""
    return f"v:{encode_basestring(value) if isinstance(value, str) else _compact(value)}"


def _compact(value: Any) -> str:  # noqa: ANN401 - a JSON value
    return json.dumps(_whole(value), ensure_ascii=False, separators=(",", ":"))


def _whole(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse(fields: object) -> FieldSet:
    """Read ``fieldsV1`` as a client sends it; elements of unknown kinds are left out. Raises ValueError."""
    found = _parse(fields)
    found.pop(SELF, None)
    return found


def _parse(fields: object) -> FieldSet:
    if not isinstance(fields, dict):
        message = f"expected an object of fields, got {type(fields).__name__}"
        raise ValueError(message)  # noqa: TRY004 - it is the content that is wrong
    found: FieldSet = {}
    for text, inside in fields.items():
        element = SELF if text == SELF else _element(str(text))
        if element:
            found = union(found, {element: LEAF if element == SELF else _node(_parse(inside))})
    return found


def _element(text: str) -> str:
    """Return a path element in canonical form, "" if its kind is unknown. Raises ValueError."""
    kind, colon, content = text[:1], text[1:2], text[2:]
    if colon != ":":
        message = f"missing colon: {text}"
        raise ValueError(message)
    match kind:
        case "f":
            return text
        case "i":
            return f"i:{int(content)}"
        case "v":
            return value_element(json.loads(content))
        case "k":
            keys = json.loads(content)
            if isinstance(keys, dict):
                return key_element(keys)
            message = f"not an object of keys: {text}"
            raise ValueError(message)
    return ""


def is_member(node: FieldSet | None) -> bool:
    """Whether an element with these children (None: an element that isn't there) is in the set itself."""
    return node is not None and (not node or SELF in node)


def _node(children: FieldSet) -> FieldSet:
    """Write an element that has no children but itself as a leaf."""
    return LEAF if len(children) == 1 and SELF in children else children


def member(children: FieldSet) -> FieldSet:
    """Return the node of an element that is in the set, with these children."""
    return {SELF: LEAF, **children} if children else LEAF


def union(a: FieldSet, b: FieldSet) -> FieldSet:
    """Return what is in either."""
    if not b or a is b:
        return a
    found = dict(a)
    for element, inside in b.items():
        here = found.get(element)
        if here is None or here is inside:
            found[element] = inside
        elif here and inside:
            found[element] = union(here, inside)
        else:
            found[element] = member({**here, **inside}) if here or inside else LEAF
    return found


def difference(a: FieldSet, b: FieldSet) -> FieldSet:
    """Return what is in ``a`` and not in ``b``, ``a`` itself if that is all. A parent does not stand for children."""
    found = a
    for element, inside in b.items():
        here = a.get(element)
        if here is None or not (here or is_member(inside)):
            continue
        left = difference(here, inside or _ONLY_SELF) if here else LEAF
        if here and left is here:
            continue
        found = dict(a) if found is a else found
        if left:
            found[element] = _node(left)
        else:
            del found[element]
    return found


def without(a: FieldSet, b: FieldSet) -> FieldSet:
    """Return what is in ``a`` and neither in ``b`` nor below a member of ``b``."""
    found: FieldSet = {}
    for element, here in a.items():
        inside = b.get(element)
        if inside is None:
            found[element] = here
        elif not is_member(inside):
            left = without(here, inside)
            if left or not here:
                found[element] = _node(left)
    return found


def intersection(a: FieldSet, b: FieldSet) -> FieldSet:
    """Return what is in both."""
    found: FieldSet = {}
    for element, here in a.items():
        other = b.get(element)
        if other is None:
            continue
        if here and other:
            both = intersection(here, other)
            if both:
                found[element] = _node(both)
        elif is_member(here) and is_member(other):
            found[element] = LEAF
    return found


def leaves(a: FieldSet) -> FieldSet:
    """Return the members without children."""
    return {element: leaves(inside) for element, inside in a.items() if element != SELF}


def paths(a: FieldSet, prefix: Path = ()) -> Iterator[Path]:
    """Go through the members, parents before their children, each level in order."""
    ordered = sorted(element for element in a if element != SELF)
    for element in ordered:
        if is_member(a[element]):
            yield (*prefix, element)
    for element in ordered:
        yield from paths(a[element], (*prefix, element))


def in_order(a: FieldSet) -> FieldSet:
    """Return the same set with its elements in order, as it is written."""
    return {element: in_order(a[element]) if a[element] else LEAF for element in sorted(a)}


def path_text(path: Path) -> str:
    """Write a path as messages do: ``.spec.containers[name="main"].image``."""
    return "".join(map(_element_text, path))


def _element_text(element: str) -> str:
    content = element[2:]
    match element[0]:
        case "f":
            return f".{content}"
        case "k":
            return f"[{','.join(f'{name}={_value_text(value)}' for name, value in json.loads(content).items())}]"
        case "v":
            return f"[={_value_text(json.loads(content))}]"
    return f"[{content}]"


def _value_text(value: Any) -> str:  # noqa: ANN401 - a scalar
    match value:
        case str():
            return quote(value)
        case bool() | None:
            return json.dumps(value)
    return number(value) if isinstance(value, int | float) else _compact(value)
