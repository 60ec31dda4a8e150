"""Deleting: preconditions, grace, finalizers and propagation.

As ``apiserver/pkg/registry/generic/registry/store.go`` and ``.../rest/delete.go`` (v1.36) do it.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from adapter_devcluster.api.admission import Admission
from adapter_devcluster.api.call import Call, DeleteOptions
from adapter_devcluster.api.registry import Served
from adapter_devcluster.api.writes import is_released
from adapter_devcluster.builtin import PROTECTED_NAMESPACES, graceful_seconds
from adapter_devcluster.objects import Object, meta, timestamp
from adapter_devcluster.statuses import conflict, forbidden, not_found
from adapter_devcluster.storage import Store

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
_LONGEST_GRACE: Final = 2**31 - 1
# Deleting these answers with the object also when it is gone at once.
_ANSWERED_BY_OBJECT: Final = frozenset(
    {"persistentvolumeclaims", "persistentvolumes", "pods", "resourcequotas", "serviceaccounts", "services"}
)
# A Job's pods stay where nobody says otherwise, as they did before owner references.
_ORPHANING: Final = frozenset({"jobs.batch"})


class Deleter:
    """Deletes objects, or marks them as being deleted."""

    def __init__(self, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission

    def delete(self, served: Served, namespace: str, name: str, options: DeleteOptions, call: Call) -> Object:
        """Delete an object; returns the answer, a Status or the object that remains. Raises StatusError."""
        kind = served.type
        item = self._store.table(served.resource).get((namespace, name))
        if item is None:
            raise not_found(kind.resource, name)
        obj = item.object
        _check_preconditions(served, obj, options)
        if kind.resource == "namespaces" and name in PROTECTED_NAMESPACES:
            raise forbidden("namespaces", name, "this namespace may not be deleted")
        self._admission.admit_delete(served, obj, call)
        marked = self._marked(served, obj, options)
        if not is_released(marked):
            return marked if call.dry_run or marked is obj else self._store.update(served.resource, marked).object
        gone = obj if call.dry_run else self._removed(served, obj, marked)
        return gone if kind.resource in _ANSWERED_BY_OBJECT else _success(served, obj)

    def _removed(self, served: Served, obj: Object, marked: Object) -> Object:
        """Remove an object that nothing holds any more; returns what watchers see of it: its last stored state.

        That of a pod is marked first, also when it need not wait; what else is only marked in passing is not stored.
        """
        self._admission.release(served, obj)
        if served.type.resource == "pods" and marked is not obj:
            obj = self._store.update(served.resource, marked).object
        return self._store.delete(served.resource, obj).object

    def _marked(self, served: Served, obj: Object, options: DeleteOptions) -> Object:
        """Return the object as being deleted; itself where it was so before in just this way."""
        found = meta(obj)
        finalizers = _finalizers(served, found, options)
        grace = graceful_seconds(served.type.resource, obj, options.grace_seconds)
        new = dict(found)
        if finalizers:
            new["finalizers"] = finalizers
        else:
            new.pop("finalizers", None)
        earlier = found.get("deletionGracePeriodSeconds")
        if "deletionTimestamp" not in found:
            new |= _deadline(grace)
            if isinstance(found.get("generation"), int) and found["generation"] > 0:
                new["generation"] = found["generation"] + 1
        elif isinstance(earlier, int) and grace < earlier:
            new |= _deadline(grace)
        if new == found:
            return obj
        marked = {**obj, "metadata": new}
        if served.type.resource == "namespaces":
            marked["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        return marked


def _deadline(grace: int) -> Object:
    # Times end with the year 9999; nobody waits so long.
    grace = min(grace, _LONGEST_GRACE)
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=grace)
    return {"deletionTimestamp": timestamp(moment), "deletionGracePeriodSeconds": grace}


def _finalizers(served: Served, found: Object, options: DeleteOptions) -> list[str]:
    """The finalizers with those of the propagation that is asked for, or the default, or was begun before."""
    present = list(found.get("finalizers") or [])
    policy = options.propagation
    if policy is None:
        if ORPHAN in present:
            policy = "Orphan"
        elif FOREGROUND in present:
            policy = "Foreground"
        elif served.type.resource in _ORPHANING:
            policy = "Orphan"
    kept = [one for one in present if one not in (ORPHAN, FOREGROUND)]
    if policy == "Orphan":
        kept.append(ORPHAN)
    elif policy == "Foreground":
        kept.append(FOREGROUND)
    return present if set(kept) == set(present) else kept


def _check_preconditions(served: Served, obj: Object, options: DeleteOptions) -> None:
    found = meta(obj)
    # The server names the kind here where it names the resource elsewhere.
    kind = f"{served.type.kind}.{served.type.group}" if served.type.group else served.type.kind
    if options.uid and options.uid != found["uid"]:
        problem = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({found['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(kind, found["name"], problem)
    if options.resource_version and options.resource_version != found["resourceVersion"]:
        problem = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({found['resourceVersion']}). The object might have been modified"
        )
        raise conflict(kind, found["name"], problem)


def _success(served: Served, obj: Object) -> Object:
    kind, found = served.type, meta(obj)
    details = {"name": found["name"], "group": kind.group, "kind": kind.plural, "uid": found["uid"]}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {name: value for name, value in details.items() if value},
    }
