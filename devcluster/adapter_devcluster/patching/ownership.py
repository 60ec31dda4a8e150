"""Who owns which field: ``metadata.managedFields`` after a write (``apimachinery/pkg/util/managedfields``, v0.36).

This runs on every write. Entries are the objects of the API; their ``fieldsV1`` are field sets as they stand
(see `field_sets`), and entries that a write does not touch are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from adapter_devcluster.objects import Object, meta, parse_time, timestamp
from adapter_devcluster.patching.comparison import ItemError, compare
from adapter_devcluster.patching.field_sets import FieldSet, difference, field_set, in_order, parse, union, without
from adapter_devcluster.patching.shapes import Shape

MAX_UPDATE_ENTRIES: Final = 10
ANCIENT: Final = "ancient-changes"
# What identifies an object or is the server's own is nobody's.
_UNOWNED_META: Final = frozenset(
    {
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
        "resourceVersion",
    }
)  # fmt: skip
_UNOWNED: Final = field_set(("apiVersion",), ("kind",), ("metadata",), *(("metadata", one) for one in _UNOWNED_META))


class ManagedFieldsError(ValueError):
    """An entry of managedFields that can't be read; the message is upstream's."""


def update_managers(
    old: Object | None,
    new: Object,
    *,
    manager: str,
    api_version: str,
    subresource: str,
    shape: Shape,
    now: str,
    ignore: FieldSet | None = None,
) -> list[Object]:
    """Return ``metadata.managedFields`` of ``new`` after a create (``old`` is None), an update or a patch.

    The manager gets what it set or changed; all lose what was changed or removed. ``new`` is as it will be stored,
    but for managedFields: those that the client sent count unless they are unreadable, are a subresource's, or are
    ``[]`` or ``[{}]``, which empties the list. An object without entries stays without, unless it is being created.
    ``ignore`` is upstream's "reset fields": what this way of writing never changes, such as
    ``field_set(("status",))`` through the main resource of a type with a status, and nothing below it becomes
    anybody's or is taken from anybody. ``now`` is a timestamp. Managers of other versions of the API are treated as
    if they used ``api_version``.
    """
    stored = meta(old).get("managedFields") or [] if old is not None else []
    entries = stored if subresource else _base(stored, meta(new).get("managedFields"))
    if old is not None and not entries:
        return []
    try:
        removed, changed = differences(old or {}, new, shape, ignore)
    except ItemError:
        # Nobody can say what was changed; the server leaves the entries as they were.
        return list(stored)
    if not removed and not changed:
        return ordered(entries)
    left = take(entries, union(removed, changed))
    entry = new_entry(manager, "Update", api_version, subresource)
    owned = strip(changed)
    if owned:
        known = next((one for one in left if identity(one) == identity(entry)), None)
        left = [one for one in left if one is not known]
        left.append(filled(entry, union(known["fieldsV1"], owned) if known else owned, now))
    return ordered(_capped(left))


def differences(old: Object, new: Object, shape: Shape, ignore: FieldSet | None) -> tuple[FieldSet, FieldSet]:
    """Return the fields that were removed, and those that were set, but for what is nobody's. Raises ItemError."""
    removed, changed = compare(_ownable(old), _ownable(new), shape)
    if ignore:
        removed, changed = without(removed, ignore), without(changed, ignore)
    return removed, changed


def _ownable(obj: Object) -> Object:
    left = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}
    found = obj.get("metadata")
    if isinstance(found, dict):
        left["metadata"] = {name: value for name, value in found.items() if name not in _UNOWNED_META}
    return left


def take(entries: Iterable[Object], fields: FieldSet) -> list[Object]:
    """Take fields from all entries; those left with nothing go."""
    left = []
    for entry in entries:
        owned = entry["fieldsV1"]
        rest = difference(owned, fields)
        if rest is owned:
            left.append(entry)
        elif rest:
            left.append({**entry, "fieldsV1": rest})
    return left


def strip(fields: FieldSet) -> FieldSet:
    """Return the fields that may have an owner."""
    return difference(fields, _UNOWNED)


def new_entry(manager: str, operation: str, api_version: str, subresource: str) -> Object:
    """Return an entry of managedFields without fields and time."""
    found = {"manager": manager or "unknown", "operation": operation, "apiVersion": api_version}
    return {**found, "subresource": subresource} if subresource else found


def filled(entry: Object, fields: FieldSet, time: str) -> Object:
    """Return an entry with these fields, as the API writes it; "" is no time."""
    found = {name: value for name, value in entry.items() if name in ("manager", "operation", "apiVersion")}
    if time:
        found["time"] = time
    found |= {"fieldsType": "FieldsV1", "fieldsV1": in_order(fields)}
    return {**found, "subresource": entry["subresource"]} if entry.get("subresource") else found


def identity(entry: Object) -> tuple[str, str, str, str]:
    """Return what tells a manager from others. One that applies keeps its entry over versions of the API."""
    operation = entry["operation"]
    version = "" if operation == "Apply" else entry["apiVersion"]
    return entry.get("manager", ""), operation, version, entry.get("subresource", "")


def decode(sent: object) -> list[Object]:
    """Read managedFields as a client sends them, in canonical form. Raises ManagedFieldsError."""
    if not isinstance(sent, list):
        raise ManagedFieldsError("managedFields must be a list")
    found: dict[tuple[str, str, str, str], Object] = {}
    for position, one in enumerate(sent):
        entry = _decoded(one if isinstance(one, dict) else {}, position)
        found[identity(entry)] = entry
    return list(found.values())


def _decoded(entry: Object, position: int) -> Object:
    if entry.get("operation") not in ("Apply", "Update"):
        raise ManagedFieldsError("operation must be `Apply` or `Update`")
    if not entry.get("apiVersion"):
        raise ManagedFieldsError("apiVersion must not be empty")
    if entry.get("fieldsType") != "FieldsV1":
        kind = entry.get("fieldsType")
        problem = f'invalid fieldsType "{kind}"' if kind else "missing fieldsType"
        raise ManagedFieldsError(f"{problem} in managed fields entry {position}")
    named = {name: str(entry.get(name) or "") for name in ("manager", "operation", "apiVersion", "subresource")}
    try:
        time = timestamp(parse_time(entry["time"])) if entry.get("time") else ""
        return filled(named, parse(entry.get("fieldsV1") or {}), time)
    except (TypeError, ValueError, RecursionError) as error:
        raise ManagedFieldsError(f"error decoding set: {error}") from error


def _base(stored: list[Object], sent: object) -> list[Object]:
    """Return the entries to start from, of those that the client sent with the object and those in the store."""
    if sent is None or sent is stored or sent == stored:
        return stored
    if sent in ([], [{}]):
        return []
    try:
        found = decode(sent)
    except ManagedFieldsError:
        return stored
    return [one for one in found if one["fieldsV1"]] if found else stored


def _capped(entries: list[Object]) -> list[Object]:
    """Fold the oldest Update entries together, those of one version into one, until there are few enough."""
    updates = sorted((one for one in entries if one["operation"] == "Update"), key=_age)
    excess = len(updates) - MAX_UPDATE_ENTRIES
    firsts: dict[str, Object] = {}
    for entry in updates:
        version = entry["apiVersion"]
        if excess <= 0 or firsts.setdefault(version, entry) is entry:
            continue
        bucket = new_entry(ANCIENT, "Update", version, "")
        others = (one for one in entries if one is not entry and identity(one) == identity(bucket))
        older = next(others, firsts[version])
        folded = filled(bucket, union(older["fieldsV1"], entry["fieldsV1"]), entry.get("time", ""))
        entries = [*(one for one in entries if one is not older and one is not entry), folded]
        excess -= 1
    return entries


def _age(entry: Object) -> tuple[Any, ...]:
    return entry.get("time", ""), identity(entry)


def _order(entry: Object) -> tuple[str, str, str, str, str]:
    named = entry.get("manager", ""), entry["apiVersion"], entry.get("subresource", "")
    return entry["operation"], entry.get("time", ""), *named


def ordered(entries: Iterable[Object]) -> list[Object]:
    """Return entries in the order in which the API shows them."""
    return sorted(entries, key=_order)


def same_but_times(a: Sequence[Object], b: Sequence[Object]) -> bool:
    """Whether two values of managedFields differ in nothing but times: then a write changed nothing of them."""
    return len(a) == len(b) and all(_timeless(one) == _timeless(other) for one, other in zip(a, b, strict=True))


def _timeless(entry: Object) -> Object:
    return {name: value for name, value in entry.items() if name != "time"}
