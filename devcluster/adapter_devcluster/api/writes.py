"""Creating and updating: from a body that was read to a stored object.

The order is the server's (``apiserver/pkg/endpoints/handlers``, ``.../registry/generic/registry/store.go``,
v1.36): namespace life cycle, system fields, decoding, defaults and validation by the judge, policies, then
field ownership and the store.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from typing import Final

from adapter_devcluster.api.admission import Admission
from adapter_devcluster.api.call import Call
from adapter_devcluster.api.registry import Served
from adapter_devcluster.apiextensions import Admitted, Refused
from adapter_devcluster.apiextensions import errors as field_errors
from adapter_devcluster.objects import GENERATED, LONGEST_PREFIX, Object, meta, timestamp
from adapter_devcluster.patching.failures import unexpected
from adapter_devcluster.patching.ownership import same_but_times, update_managers
from adapter_devcluster.resource_types import Judge
from adapter_devcluster.statuses import (
    StatusError,
    already_exists,
    bad_request,
    conflict,
    invalid,
    method_not_allowed,
    name_mismatch,
    namespace_mismatch,
    not_found,
    uid_mismatch,
)
from adapter_devcluster.storage import Item, Store

Change = Callable[[Object], Object]
Owns = Callable[[Object, Object], list[Object]]

_SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_NAME_TRIES: Final = 8
_SERVERS_WRITES: Final = ("binding", "finalize")
_FIRST_FIELDS: Final = ("kind", "apiVersion", "metadata")


class Writer:
    """Creates and updates objects in a store."""

    def __init__(self, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission

    def create(self, served: Served, namespace: str, body: Object, call: Call, owns: Owns | None = None) -> Item:
        """Create an object. ``owns`` gives its managed fields; by default the caller owns all. Raises StatusError."""
        self._admission.check_namespace(served, namespace, str(meta(body).get("name") or ""))
        admitted = self._named_creation(served, namespace, body, call)
        admitted = self._admission.admit_create(served, admitted, call)
        try:
            self._check_new(served, namespace, str(meta(admitted)["name"]), body)
        except StatusError:
            self._admission.release(served, admitted)
            raise
        obj = _ordered(admitted, (owns or self._owned_by(served, call, ""))({}, admitted))
        if call.dry_run:
            return Item(obj, 0)
        item = self._store.create(served.resource, served.to_storage(obj))
        self._admission.charge(served, obj)
        return item

    def _check_new(self, served: Served, namespace: str, name: str, body: Object) -> None:
        version = meta(body).get("resourceVersion")
        if isinstance(version, str) and version.isdecimal() and int(version):
            raise unexpected("resourceVersion should not be set on objects to be created")
        if self._store.table(served.resource).get((namespace, name)) is not None:
            raise already_exists(served.type.resource, name)

    def _named_creation(self, served: Served, namespace: str, body: Object, call: Call) -> Object:
        """Judge a creation; a generated name that is taken is generated anew, a few times."""
        _check_version(served, body, call)
        table = self._store.table(served.resource)
        admitted = _judged_creation(served, namespace, body, call)
        for _ in range(_NAME_TRIES - 1):
            if meta(body).get("name") or table.get((namespace, str(meta(admitted)["name"]))) is None:
                break
            admitted = _judged_creation(served, namespace, body, call)
        return admitted

    def update(
        self,
        served: Served,
        namespace: str,
        name: str,
        change: Change,
        call: Call,
        *,
        subresource: str = "",
        owns: Owns | None = None,
    ) -> Item:
        """Replace an object by what ``change`` makes of it. Raises StatusError.

        ``owns`` gives the new managed fields (from old and new); by default the caller owns what it changed. What
        the server makes itself for a subresource (``binding``, ``finalize``) is not judged as a client's update is.
        """
        item = self._store.table(served.resource).get((namespace, name))
        if item is None:
            raise not_found(served.type.resource, name)
        old = served.load(item.object)
        changed = change(old)
        _check_version(served, changed, call)
        wanted = _identified(served, old, changed, call)
        judged = wanted if subresource in _SERVERS_WRITES else _judged_update(served, old, wanted, call, subresource)
        new = self._admission.admit_update(served, old, judged, call, subresource)
        asked = {**new, "metadata": {**meta(new), "managedFields": meta(wanted).get("managedFields")}}
        managers = (owns or self._owned_by(served, call, subresource))(old, asked)
        return self._commit(served, item, _ordered(new, managers), call)

    @staticmethod
    def _owned_by(served: Served, call: Call, subresource: str) -> Owns:
        """The caller owns what it changed (operation Update)."""

        def owns(old: Object, new: Object) -> list[Object]:
            return update_managers(
                old or None,
                new,
                manager=call.manager,
                api_version=served.type.api_version,
                subresource=subresource,
                shape=served.shape,
                now=timestamp(),
                ignore=served.reset_fields(subresource),
            )

        return owns

    def _commit(self, served: Served, item: Item, new: Object, call: Call) -> Item:
        """Store a new state, unless it is the old one; remove what only its finalizers held."""
        new = served.to_storage(new)
        if _same(item.object, new):
            return item
        if call.dry_run:
            return Item(new, item.revision)
        if is_released(new):
            self._admission.release(served, item.object)
            self._admission.release(served, new)
            return self._store.delete(served.resource, new)
        stored = self._store.update(served.resource, new)
        self._admission.release(served, item.object, kept=new)
        self._admission.charge(served, new, item.object)
        return stored


def is_released(obj: Object) -> bool:
    """Whether an object that is being deleted is held by nothing any more: no finalizer, no grace, no content."""
    found = meta(obj)
    if "deletionTimestamp" not in found or found.get("finalizers") or found.get("deletionGracePeriodSeconds"):
        return False
    return obj.get("kind") != "Namespace" or not (obj.get("spec") or {}).get("finalizers")


def _judge(served: Served) -> Judge:
    if served.judge is None:
        raise method_not_allowed(served.type.resource)
    return served.judge


def _judged_creation(served: Served, namespace: str, body: Object, call: Call) -> Object:
    outcome = _judge(served).admit_create(
        _with_system_fields(body),
        namespace=namespace if served.type.namespaced else "",
        field_validation=call.field_validation,
        decoding_errors=call.decoding_errors,
    )
    return _accepted(outcome, call)


def _judged_update(served: Served, old: Object, wanted: Object, call: Call, subresource: str) -> Object:
    outcome = _judge(served).admit_update(
        old,
        wanted,
        subresource="status" if subresource == "status" else "",
        field_validation=call.field_validation,
        decoding_errors=call.decoding_errors,
    )
    if call.patching and isinstance(outcome, Refused) and outcome.status["code"] == 400:
        raise unreadable_patch(str(outcome.status["message"]))
    return _accepted(outcome, call)


def unreadable_patch(problem: str) -> StatusError:
    """What a patch makes unreadable is a fault of the patch."""
    return invalid("", "", "", [field_errors.invalid("patch", field_errors.OMITTED, problem)])


def _check_version(served: Served, body: Object, call: Call) -> None:
    """Refuse a custom resource of another version than the path's, as the decoder does that converts between them."""
    sent, wanted = body.get("apiVersion"), served.type.api_version
    if served.custom and isinstance(sent, str) and sent and sent != wanted:
        problem = f"the API version in the data ({sent}) does not match the expected API version ({wanted})"
        raise unreadable_patch(problem) if call.patching else bad_request(problem)


def _with_system_fields(body: Object) -> Object:
    """Put in what the server decides on creation, whatever the client sent."""
    if not isinstance(body.get("metadata", {}), dict):
        return body
    found = {name: value for name, value in meta(body).items() if name not in ("managedFields", "resourceVersion")}
    prefix = found.get("generateName")
    if not found.get("name") and isinstance(prefix, str) and prefix:
        found["name"] = prefix[:LONGEST_PREFIX] + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(GENERATED))
    metadata = {**_owned_once(found), "uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
    return {**body, "metadata": metadata}


def _owned_once(metadata: Object) -> Object:
    """Drop owner references that are there before, the same in all."""
    owners = metadata.get("ownerReferences")
    if not isinstance(owners, list) or len(owners) < 2:
        return metadata
    kept = [owner for position, owner in enumerate(owners) if owner not in owners[:position]]
    return {**metadata, "ownerReferences": kept}


def _accepted(outcome: Admitted | Refused, call: Call) -> Object:
    if isinstance(outcome, Refused):
        raise StatusError(dict(outcome.status))
    call.warnings.extend(outcome.warnings)
    return dict(outcome.object)


def _identified(served: Served, old: Object, wanted: Object, call: Call) -> Object:
    """Check that an update is about the object in the path, and of the state that its sender saw."""
    kind, raw, stored = served.type, wanted.get("metadata", {}), meta(old)
    if not isinstance(raw, dict):
        return wanted
    name = raw.get("name") or stored["name"]
    if name != stored["name"]:
        raise name_mismatch(name, stored["name"])
    if kind.namespaced and raw.get("namespace", "") not in ("", None, stored["namespace"]):
        raise namespace_mismatch()
    uid = raw.get("uid") or stored["uid"]
    if uid != stored["uid"] and not call.patching:
        raise uid_mismatch(kind.resource, name, raw["uid"], stored["uid"])
    version = raw.get("resourceVersion")
    if not version:
        if not kind.unconditional_update:
            error = field_errors.invalid("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(kind.group, kind.plural, name, [error])
    elif version != stored["resourceVersion"]:
        if not (isinstance(version, str) and version.isdecimal()):
            error = field_errors.invalid("metadata.resourceVersion", version, "strconv.ParseUint: invalid syntax")
            raise invalid(kind.group, kind.plural, name, [error])
        raise conflict(kind.resource, name)
    found = {**_owned_once(raw), "name": name, "uid": uid, "resourceVersion": stored["resourceVersion"]}
    if kind.namespaced:
        found["namespace"] = stored["namespace"]
    return {**wanted, "metadata": found}


def _ordered(obj: Object, managers: list[Object]) -> Object:
    """Put the managed fields in, and the type first: lists of built-in kinds leave it out of their items."""
    found = {**meta(obj), "managedFields": managers}
    if not managers:
        del found["managedFields"]
    first = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": found}
    return first | {name: value for name, value in obj.items() if name not in _FIRST_FIELDS}


def _same(old: Object, new: Object) -> bool:
    """Whether an update changes nothing but the times at which fields were set."""
    a, b = meta(old), meta(new)
    if any(old.get(name) != new.get(name) for name in {*old, *new} if name != "metadata"):
        return False
    if any(a.get(name) != b.get(name) for name in {*a, *b} if name not in ("managedFields", "resourceVersion")):
        return False
    return same_but_times(a.get("managedFields") or [], b.get("managedFields") or [])
