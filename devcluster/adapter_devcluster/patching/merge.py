"""JSON merge patches (RFC 7386), as the server applies them (``gopkg.in/evanphx/json-patch.v4``)."""

from __future__ import annotations

from typing import Any

from adapter_devcluster.objects import Object, copy


def merge_patch(target: Object, patch: Object) -> Object:
    """Return ``target`` with a merge patch applied: null removes, objects are merged, all else is replaced.

    Unlike the RFC, and like the server, fields that are null are left out of objects in lists too, where the list
    replaces nothing or something that is no object.
    """
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
            continue
        old = merged.get(name)
        if isinstance(old, dict):
            merged[name] = merge_patch(old, value) if isinstance(value, dict) else copy(value)
        else:
            merged[name] = _without_nulls(value)
    return merged


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
