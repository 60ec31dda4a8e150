"""Admission by ResourceQuotas: who creates must find room, and takes it at once.

Follows ``apiserver/pkg/admission/plugin/resourcequota/controller.go`` (v0.36).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.objects import Object, asked_name, meta, section
from adapter_devcluster.quotas.amounts import Quantities, minus, only, plus, written
from adapter_devcluster.quotas.usage import in_scope, missing_requests, resources_counted, usage_of
from adapter_devcluster.statuses import StatusError, forbidden

# Updates of these can take more than what they replace.
_UPDATED: Final = frozenset({"services", "persistentvolumeclaims"})


def claimed(resource: str, new: Object, old: Object | None, quotas: Iterable[Object]) -> list[Object]:
    """Return the quotas that change when an object is stored, with what it takes counted in their status.

    ``quotas`` are those of its namespace. Raises StatusError (403) where one of them has no room.
    """
    if old is not None and resource not in _UPDATED:
        return []
    now = dt.datetime.now(dt.UTC)
    taken = usage_of(resource, new, now)
    if old is not None:
        taken = minus(taken, usage_of(resource, old, now))
    found = []
    for quota in quotas:
        hard = section(quota, "spec", "hard")
        if not in_scope(quota, resource, new) or resource not in resources_counted(hard):
            continue
        changed = _with_usage(resource, new, taken, quota)
        if changed is not None:
            found.append(changed)
    return found


def _with_usage(resource: str, obj: Object, taken: Quantities, quota: Object) -> Object | None:
    """Return a quota with more in use; None where nothing of it is taken. Raises StatusError."""
    name, status = meta(quota)["name"], section(quota, "status")
    wanted = section(quota, "spec", "hard")
    hard, used = section(status, "hard"), section(status, "used")
    if resource == "pods" and (missing := missing_requests(obj, wanted)):
        raise _refused(resource, obj, f"failed quota: {name}: must specify {missing}")
    asked = only(taken, wanted)
    unknown = sorted(asked.keys() - used.keys())
    if unknown:
        raise _refused(resource, obj, f"status unknown for quota: {name}, resources: {','.join(unknown)}")
    asked = {one: amount for one, amount in asked.items() if value_of(amount)}
    if not asked:
        return None
    total = plus(used, asked)
    exceeded = [one for one in asked if _exceeds(one, total, hard) and value_of(asked[one]) > 0]
    if exceeded:
        shown = ", ".join(
            f"{word}: {written(only(amounts, exceeded))}"
            for word, amounts in (("requested", asked), ("used", used), ("limited", hard))
        )
        raise _refused(resource, obj, f"exceeded quota: {name}, {shown}")
    return {**quota, "status": {**status, "used": total}}


def _exceeds(name: str, total: Mapping[str, str], hard: Mapping[str, str]) -> bool:
    return name in hard and value_of(total[name]) > value_of(hard[name])


def _refused(resource: str, obj: Object, problem: str) -> StatusError:
    return forbidden(resource, asked_name(obj), problem)
