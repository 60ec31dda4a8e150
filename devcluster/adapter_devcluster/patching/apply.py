"""Server-side apply: merge what a manager applies, hold others' fields against it, drop what it no longer applies.

The steps are those of structured-merge-diff's ``merge.Updater`` (v6) and of ``apimachinery/pkg/util/managedfields``
(v0.36).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapter_devcluster.apiextensions.go_text import quote
from adapter_devcluster.objects import Object, copy, meta
from adapter_devcluster.patching.comparison import same
from adapter_devcluster.patching.failures import unexpected
from adapter_devcluster.patching.field_sets import (
    FieldSet,
    Path,
    difference,
    intersection,
    path_text,
    paths,
    union,
    without,
)
from adapter_devcluster.patching.ownership import (
    differences,
    filled,
    identity,
    new_entry,
    ordered,
    strip,
    take,
    update_managers,
)
from adapter_devcluster.patching.shapes import Shape
from adapter_devcluster.patching.structured import fields_of, merge, problems, remove, with_structs
from adapter_devcluster.statuses import bad_request, status_error

BEFORE_FIRST_APPLY: Final = "before-first-apply"


def apply(
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    api_version: str,
    subresource: str,
    shape: Shape,
    now: str,
    ignore: FieldSet | None = None,
) -> Object:
    """Return ``live`` (None: there is no object yet) with what is applied, and with its new managedFields.

    What comes out is not defaulted, pruned or validated yet, and may be equal to ``live`` but for managedFields; see
    `ownership.same_but_times`. ``ignore`` is as for `ownership.update_managers`. Raises StatusError: 400 for what may
    not be applied, 409 for conflicts (never with ``force``), and, as the server does, 500 for what does not fit the
    schema.
    """
    _check(live, applied, api_version, shape)
    base = live or {"apiVersion": applied["apiVersion"], "kind": applied["kind"]}
    entries = _entries(live, api_version=api_version, subresource=subresource, shape=shape, now=now)
    entry = new_entry(manager, "Apply", api_version, subresource)
    last = next((one for one in entries if identity(one) == identity(entry)), None)
    others = [one for one in entries if one is not last]
    fields = fields_of(applied, shape)
    fields = without(fields, ignore) if ignore else fields
    merged = merge(base, applied, shape)
    if last:
        merged = _without_dropped(merged, last["fieldsV1"], [fields, *(one["fieldsV1"] for one in others)], shape)
    removed, changed = differences(base, merged, shape, ignore)
    if not force:
        _check_conflicts(others, changed)
    others = take(others, union(changed, removed))
    if owned := strip(fields):
        time = now if live is None or not same(merged, base) else (last or {}).get("time", "")
        others.append(filled(entry, owned, time))
    named = {name: value for name, value in meta(merged).items() if name != "managedFields"}
    result: Object = copy({**merged, "metadata": named})
    if others:
        result["metadata"]["managedFields"] = ordered(others)
    return result


def _check(live: Object | None, applied: Object, api_version: str, shape: Shape) -> None:
    kind = applied.get("kind") or ""
    if applied.get("apiVersion") != api_version or not kind or (live is not None and live.get("kind") != kind):
        raise bad_request(f"invalid object type: {_group_version_kind(applied)}")
    if meta(applied).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    _check_shape("patch", applied, shape, duplicates=False)
    if live is not None:
        _check_shape("live", live, shape, duplicates=True)


def _check_shape(which: str, obj: Object, shape: Shape, *, duplicates: bool) -> None:
    found = list(problems(obj, shape, duplicates=duplicates))
    if found:
        listed = found[0] if len(found) == 1 else "\n  ".join(["errors:", *found])
        named = meta(obj)
        name = f"{named.get('namespace') or ''}/{named.get('name') or ''}"
        raise unexpected(f"failed to create typed {which} object ({name}; {_group_version_kind(obj)}): {listed}")


def _group_version_kind(obj: Object) -> str:
    group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
    return f"{group}/{version}, Kind={obj.get('kind') or ''}"


def _entries(live: Object | None, *, api_version: str, subresource: str, shape: Shape, now: str) -> list[Object]:
    """Return the entries of the live object; what was never tracked belongs to an Update manager of its own."""
    if live is None:
        return []
    if stored := meta(live).get("managedFields"):
        return list(stored)
    return update_managers(
        None,
        live,
        manager=BEFORE_FIRST_APPLY,
        api_version=api_version,
        subresource=subresource,
        shape=shape,
        now=now,
    )


def _without_dropped(merged: Object, last: FieldSet, held: Sequence[FieldSet], shape: Shape) -> Object:
    """Take away what the manager applied before (``last``), unless it is in one of the sets that are ``held`` now."""
    last = with_structs(last, shape)
    everything = with_structs(fields_of(merged, shape), shape)
    kept: FieldSet = {}
    for one in held:
        kept = union(kept, one)
    pruned = remove(merged, last, shape) or {}
    remaining = with_structs(fields_of(pruned, shape), shape)
    # What went with something dropped comes back if somebody owns it, and then if it was never the manager's.
    pruned = remove(merged, difference(everything, union(remaining, with_structs(kept, shape))), shape) or {}
    remaining = with_structs(fields_of(pruned, shape), shape)
    dropped = intersection(difference(everything, remaining), last)
    return dict(remove(merged, dropped, shape) or {})


def _check_conflicts(others: Sequence[Object], changed: FieldSet) -> None:
    """Raise StatusError 409 if others own what an apply changes."""
    found: list[tuple[str, Path]] = []
    for entry in sorted(others, key=identity):
        found += [(_printed(entry), path) for path in paths(intersection(entry["fieldsV1"], changed))]
    if not found:
        return
    if len(found) == 1:
        ((owner, path),) = found
        message = f"Apply failed with 1 conflict: conflict with {owner}: {path_text(path)}"
    else:
        lines: list[str] = []
        for position, (owner, path) in enumerate(found):
            if not position or found[position - 1][0] != owner:
                lines.append(f"conflicts with {owner}:")
            lines.append(f"- {path_text(path)}")
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": path_text(path)}
        for owner, path in found
    ]
    raise status_error(409, "Conflict", message, causes=causes)


def _printed(entry: Object) -> str:
    name, operation, version, subresource = identity(entry)
    printed = quote(name)
    if subresource:
        printed += f" with subresource {quote(subresource)}"
    return f"{printed} using {version}" if operation == "Update" else printed
