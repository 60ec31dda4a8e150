"""CustomResourceDefinitions: serving what they define, their conditions, and their end.

As ``apiextensions-apiserver/pkg/controller/{status,establish,finalizer}`` (v1.36) do it.
"""

from __future__ import annotations

from collections.abc import Callable

from adapter_devcluster.api.registry import Registry, Served, unchanged
from adapter_devcluster.apiextensions import Columns, Schema
from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.objects import Key, Object, copy, is_deleting, key, meta, section, timestamp
from adapter_devcluster.patching.shapes import Shape, shape_of_crd
from adapter_devcluster.resource_types import ResourceType, Subresource
from adapter_devcluster.statuses import StatusError
from adapter_devcluster.storage import Store

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_NAMES = ("plural", "singular", "shortNames", "kind", "listKind", "categories")
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


class CustomResources(Controller):
    """Serves the resources that definitions define, and deletes their objects before a definition goes."""

    def __init__(self, client: Client, registry: Registry, store: Store) -> None:
        super().__init__(client)
        self._registry = registry
        self._store = store
        self._serving: dict[str, Object] = {}
        self._following: dict[str, Callable[[], None]] = {}

    def start(self) -> None:
        """Watch the definitions."""
        self.watch(CRDS, self._on_definition)

    def stop(self) -> None:
        """End all watches."""
        super().stop()
        for cancel in self._following.values():
            cancel()
        self._following.clear()

    def _on_definition(self, change: Change) -> None:
        if change.type == "DELETED":
            self._stop_serving(change.object)
        else:
            self.enqueue(("", str(meta(change.object)["name"])))

    def sync(self, item: Key) -> None:
        """Serve a definition, write its conditions, or go on with its deletion."""
        crd = self.client.get(CRDS, *item)
        if crd is None:
            return
        if is_deleting(crd):
            self._finish(crd)
            return
        names = self._write_status(crd)
        # What is served has the names that were accepted, which others may have kept from those that are wanted.
        spec = {**crd["spec"], "names": names}
        if names and self._serving.get(item[1]) != spec:
            self._serve({**crd, "spec": spec})

    def _names(self, crd: Object) -> tuple[Object, tuple[str, str, str]]:
        """Return the names that a definition has got, and its condition ``NamesAccepted``."""
        wanted, accepted = crd["spec"]["names"], copy(section(crd["status"], "acceptedNames"))
        resources: set[str] = set()
        kinds: set[str] = set()
        for served in self._registry.types():
            if served.group == crd["spec"]["group"] and served.resource != meta(crd)["name"]:
                resources |= {served.plural, served.singular, *served.short_names}
                kinds |= {served.kind, served.list_kind}
        condition = ("True", "NoConflicts", "no conflicts found")
        for field, taken in zip(_NAMES, (resources, resources, resources, kinds, kinds, ()), strict=True):
            names, own = _list_of(wanted.get(field)), _list_of(accepted.get(field))
            conflicts = [f'"{name}" is already in use' for name in names if name in taken and name not in own]
            if conflicts:
                text = conflicts[0] if len(conflicts) == 1 else f"[{', '.join(conflicts)}]"
                condition = ("False", f"{field[0].upper()}{field[1:]}Conflict", text)
            elif names:
                accepted[field] = wanted[field]
            else:
                accepted.pop(field, None)
        return accepted, condition

    def _serve(self, crd: Object) -> None:
        name = str(meta(crd)["name"])
        found = served_versions(crd)
        self._registry.remove(name)
        for served in found:
            self._registry.add(served)
        self._serving[name] = crd["spec"]
        schema = next(served.judge for served in found if served.storage)
        table = self._store.table(name)
        # As with a real server's new watch cache, whoever watched must list anew to see objects in their new form.
        table.forget(self._store.revision)
        self._check_others(crd)
        if isinstance(schema, Schema):
            # A new schema has new defaults, which reads show though nobody wrote them.
            for item in table.items():
                loaded = schema.load(item.object)
                if loaded != item.object:
                    table.replace_silently((meta(loaded).get("namespace") or "", meta(loaded)["name"]), loaded)

    def _write_status(self, crd: Object) -> Object:
        """Write the names, versions and conditions; returns the names to serve, none where it may not be served."""
        status = copy(section(crd, "status"))
        versions = [one["name"] for one in crd["spec"]["versions"] if one["storage"]]
        status["storedVersions"] = list(dict.fromkeys([*(status.get("storedVersions") or []), *versions]))
        status["acceptedNames"], accepted = self._names(crd)
        conditions = status["conditions"] = status.get("conditions") or []
        _set_condition(conditions, "NamesAccepted", *accepted)
        established = any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
        if accepted[0] == "True":
            established = True
            _set_condition(
                conditions, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted"
            )
        elif not established:
            _set_condition(conditions, "Established", "False", "NotAccepted", "not all names are accepted")
        changed = dict(crd)
        if CLEANUP not in (meta(crd).get("finalizers") or []):
            changed["metadata"] = {**meta(crd), "finalizers": [*(meta(crd).get("finalizers") or []), CLEANUP]}
            changed = self.client.update(CRDS, changed)
        if status != crd.get("status"):
            self.client.update(CRDS, {**changed, "status": status}, "status")
        return dict(status["acceptedNames"]) if established else {}

    def _finish(self, crd: Object) -> None:
        """Delete all objects of a definition that is being deleted; once they are gone, let it go."""
        name = str(meta(crd)["name"])
        finalizers = meta(crd).get("finalizers") or []
        if CLEANUP not in finalizers:
            return
        status = copy(section(crd, "status"))
        terminating = ("Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
        status["conditions"] = status.get("conditions") or []
        _set_condition(status["conditions"], *terminating)
        if status != crd.get("status"):
            crd = self.client.update(CRDS, {**crd, "status": status}, "status")
        if name not in self._following:
            self._following[name] = self.client.watch(name, lambda _change: self.enqueue(("", name)))
        remaining = self.client.list(name) if self._registry.stored(name) else []
        for obj in remaining:
            if not is_deleting(obj):
                self._delete(name, obj)
        if not self._store.table(name).count:
            left = [one for one in finalizers if one != CLEANUP]
            self.client.update(CRDS, {**crd, "metadata": {**meta(crd), "finalizers": left}})

    def _delete(self, resource: str, obj: Object) -> None:
        namespace, name = str(meta(obj).get("namespace") or ""), str(meta(obj)["name"])
        try:
            self.client.delete(resource, namespace, name, uid=str(meta(obj)["uid"]))
        except StatusError as error:
            if error.code != 404:
                raise

    def _stop_serving(self, crd: Object) -> None:
        name = str(meta(crd)["name"])
        self._registry.remove(name)
        self._serving.pop(name, None)
        self._store.table(name).forget(self._store.revision)
        cancel = self._following.pop(name, None)
        if cancel:
            cancel()
        self._check_others(crd)

    def _check_others(self, crd: Object) -> None:
        """Look again at the definitions of the same group that did not get their names: they may be free now."""
        for other in self.client.list(CRDS):
            accepted = any(
                (one["type"], one["status"]) == ("NamesAccepted", "True")
                for one in section(other, "status").get("conditions") or []
            )
            if not accepted and other["spec"]["group"] == crd["spec"]["group"]:
                self.enqueue(key(other))


def served_versions(crd: Object) -> list[Served]:
    """Return what a definition serves, one entry a version. Raises SchemaError."""
    spec = crd["spec"]
    names = spec["names"]
    stored = next(one["name"] for one in spec["versions"] if one["storage"])
    single = len(spec["versions"]) == 1
    found = []
    for version in spec["versions"]:
        if not version["served"] and not version["storage"]:
            continue
        schema = Schema.from_crd(crd, version["name"])
        subresources = version.get("subresources") or {}
        extra: list[Subresource] = []
        if "status" in subresources:
            extra.append(Subresource("status", names["kind"]))
        if "scale" in subresources:
            extra.append(Subresource("scale", "Scale", group="autoscaling", version="v1"))
        found.append(
            Served(
                type=ResourceType(
                    group=spec["group"],
                    version=version["name"],
                    kind=names["kind"],
                    plural=names["plural"],
                    singular=names.get("singular") or names["kind"].lower(),
                    list_kind=names.get("listKind") or f"{names['kind']}List",
                    namespaced=spec["scope"] == "Namespaced",
                    short_names=tuple(names.get("shortNames") or ()),
                    categories=tuple(names.get("categories") or ()),
                    subresources=tuple(extra),
                    selectable_fields=tuple(
                        one["jsonPath"].lstrip(".") for one in version.get("selectableFields") or ()
                    ),
                    unconditional_update=False,
                ),
                judge=schema,
                make_shape=_shape_maker(version),
                load=unchanged if single else _loading(schema),
                to_storage=unchanged if single else _in_version(f"{spec['group']}/{stored}"),
                storage=version["storage"],
                exposed=version["served"],
                columns=Columns.compile(version),
                scale=schema.resource.scale,
                custom=True,
            )
        )
    return found


def _loading(schema: Schema) -> Callable[[Object], Object]:
    """Give a stored object the form that its version's schema asks for."""
    api_version = schema.resource.api_version
    return lambda obj: schema.load({**obj, "apiVersion": api_version})


def _list_of(names: object) -> list[str]:
    return [str(name) for name in names] if isinstance(names, list) else [str(names)] if names else []


def _in_version(api_version: str) -> Callable[[Object], Object]:
    """All versions of a resource have one form (conversion strategy None): only their names differ."""
    return lambda obj: {**obj, "apiVersion": api_version}


def _shape_maker(version: Object) -> Callable[[], Shape]:
    schema = version["schema"]["openAPIV3Schema"]
    return lambda: shape_of_crd(schema)


def _set_condition(conditions: list[Object], kind: str, status: str, reason: str, message: str) -> None:
    now = timestamp()
    condition = {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    for position, one in enumerate(conditions):
        if one["type"] == kind:
            if one["status"] == status:
                condition["lastTransitionTime"] = one["lastTransitionTime"]
            conditions[position] = condition
            return
    conditions.append(condition)
