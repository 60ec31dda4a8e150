"""The API server without its HTTP: every verb on every resource, synchronous and in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapter_devcluster.access.rbac import RbacAuthorizer
from adapter_devcluster.access.reviews import review
from adapter_devcluster.access.tokens import Authenticator
from adapter_devcluster.access.users import AUTHENTICATED, MASTERS, User
from adapter_devcluster.api.admission import Admission
from adapter_devcluster.api.built_in import built_in_resources
from adapter_devcluster.api.call import SYSTEM_USER, Call, DeleteOptions, ListOptions
from adapter_devcluster.api.custom_resources import CustomResources
from adapter_devcluster.api.deletion import Deleter
from adapter_devcluster.api.local_client import LocalClient
from adapter_devcluster.api.patches import APPLY, check_patch_type, patched
from adapter_devcluster.api.reads import Page, Reader
from adapter_devcluster.api.registry import Registry, Served
from adapter_devcluster.api.scale import applied_scale, scale_of, with_scale
from adapter_devcluster.api.subresources import Subresources
from adapter_devcluster.api.writes import Writer, unreadable_patch
from adapter_devcluster.objects import Object, key, meta, timestamp
from adapter_devcluster.patching.apply import apply
from adapter_devcluster.policies import PolicyAdmission
from adapter_devcluster.statuses import (
    StatusError,
    bad_request,
    conflict,
    method_not_allowed,
    name_mismatch,
    namespace_mismatch,
    not_found,
    uid_mismatch,
)
from adapter_devcluster.storage import Item, Store

_RBAC = tuple(
    f"{plural}.rbac.authorization.k8s.io" for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
)
_POLICIES = (
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
)


class Api:
    """All resources of one cluster. Every method may raise StatusError; nothing here waits.

    ``tokens`` are the static ones, by user. ``service_range`` is where cluster IPs come from.
    """

    def __init__(self, tokens: Mapping[str, User] | None = None, service_range: str = "127.96.0.0/16") -> None:
        self.store = Store()
        self.registry = Registry()
        self.reader = Reader(self.store)
        client = self.client("kube-apiserver")
        self.authorizer = RbacAuthorizer(client, self._version_of(_RBAC))
        self.authenticator = Authenticator(client, tokens or {})
        self.policies = PolicyAdmission(client, self.authorizer, self._version_of(_POLICIES))
        self._admission = Admission(self.store, self.authorizer, self.policies, service_range)
        self._writer = Writer(self.store, self._admission)
        self._deleter = Deleter(self.store, self._admission)
        self._subresources = Subresources(self.registry, self._writer, self._deleter, client, self.authenticator)
        self.custom_resources = CustomResources(client, self.registry, self.store)
        for served in built_in_resources():
            self.registry.add(served)

    def client(self, manager: str = "kube-apiserver", user: str = "") -> LocalClient:
        """Return in-process access, with all rights.

        ``manager`` is the owner of the fields it sets; ``user`` is who policies see, the server itself by default.
        """
        return LocalClient(self, manager, User(user, (MASTERS, AUTHENTICATED)) if user else SYSTEM_USER)

    def _version_of(self, resources: Sequence[str]) -> Callable[[], int]:
        """Return what counts the changes of some resources, for what is read from them and kept."""
        tables = [self.store.table(resource) for resource in resources]
        return lambda: sum(table.version for table in tables)

    def served(self, resource: str) -> Served:
        """Return a stored resource by name. Raises StatusError (404)."""
        found = self.registry.stored(resource)
        if found is None:
            raise not_found(resource, "")
        return found

    # --- reading -------------------------------------------------------------------------------------

    def get(self, served: Served, namespace: str, name: str, subresource: str = "") -> Item:
        """Return an object, in the version asked for."""
        item = self.reader.get(served, namespace, name)
        if subresource == "scale":
            return Item(scale_of(served, served.load(item.object)), item.revision)
        return loaded(served, item)

    def list(self, served: Served, namespace: str, options: ListOptions) -> Page:
        """Return the selected objects, as stored."""
        return self.reader.page(served, namespace, options)

    # --- writing -------------------------------------------------------------------------------------

    def create(self, served: Served, namespace: str, body: Object, call: Call) -> Item:
        """Create an object, or answer a review."""
        if served.judge is None:
            return Item(review(served.type.kind, body, call.user, namespace, self.authorizer, self.authenticator), 0)
        return self._writer.create(served, namespace, body, call)

    def create_subresource(
        self, served: Served, namespace: str, name: str, subresource: str, body: Object, call: Call
    ) -> Object:
        """Answer a POST to a subresource."""
        return self._subresources.create(served, namespace, name, subresource, body, call)

    def update(
        self, served: Served, namespace: str, name: str, body: Object, call: Call, subresource: str = ""
    ) -> Item:
        """Replace an object, its status or its scale."""
        match subresource:
            case "scale":
                return self._rescale(served, namespace, name, lambda _scale: body, call)
            case "finalize":
                return Item(self._subresources.finalize(served, namespace, name, body, call), 0)
            case "binding":
                return Item(self._subresources.bind(served, namespace, name, body, call), 0)
            case "" | "status":
                if not self.is_there(served, namespace, name):
                    return self._replace_missing(served, namespace, name, body, call, subresource)
                return self._writer.update(served, namespace, name, lambda _old: body, call, subresource=subresource)
        raise method_not_allowed(served.type.resource)

    def is_there(self, served: Served, namespace: str, name: str) -> bool:
        """Whether there is an object of a name."""
        return self.store.table(served.resource).get((namespace, name)) is not None

    def _replace_missing(
        self, served: Served, namespace: str, name: str, body: Object, call: Call, subresource: str
    ) -> Item:
        """Replace what is not there: some kinds are created by that. Raises StatusError for the others."""
        uid = meta(body).get("uid")
        if uid:
            # Whoever knows an object by its UID is in conflict where it is gone, and not lost.
            raise uid_mismatch(served.type.resource, name, uid, "")
        if subresource or not served.type.create_on_update:
            raise not_found(served.type.resource, name)
        return self._writer.create(served, namespace, _named(body, name), call)

    def patch(
        self,
        served: Served,
        namespace: str,
        name: str,
        patch: Any,  # noqa: ANN401 - a body of any kind
        content_type: str,
        call: Call,
        subresource: str = "",
    ) -> Item:
        """Patch an object, its status or its scale, by any kind of patch."""
        check_patch_type(served, content_type)
        call.patching = True
        if subresource not in ("", "status", "scale"):
            raise method_not_allowed(served.type.resource)
        if content_type == APPLY:
            return self._apply(served, namespace, name, patch, call, subresource)
        if subresource == "scale":
            return self._rescale(
                served, namespace, name, lambda scale: patched(served, scale, patch, content_type), call
            )

        def change(old: Object) -> Object:
            return patched(served, old, patch, content_type)

        return self._writer.update(served, namespace, name, change, call, subresource=subresource)

    def _rescale(
        self, served: Served, namespace: str, name: str, change: Callable[[Object], Object], call: Call
    ) -> Item:
        def rescaled(old: Object) -> Object:
            scale = change(scale_of(served, old, replacing=True))
            try:
                return with_scale(served, old, scale)
            except StatusError as error:
                if call.patching and error.code == 400:
                    raise unreadable_patch(str(error)) from error
                raise

        item = self._writer.update(served, namespace, name, rescaled, call, subresource="scale")
        return Item(scale_of(served, item.object), item.revision)

    def _apply(
        self,
        served: Served,
        namespace: str,
        name: str,
        patch: Any,  # noqa: ANN401 - a body of any kind
        call: Call,
        subresource: str,
    ) -> Item:
        scaling = subresource == "scale"
        applied = applied_scale(served, name, patch) if scaling else _appliable(served, namespace, name, patch)
        managers: list[Object] = []

        def merged(live: Object | None) -> Object:
            found = apply(
                live,
                applied,
                manager=call.manager,
                force=call.force,
                api_version=served.type.api_version,
                subresource=subresource,
                shape=served.shape,
                now=timestamp(),
                ignore=served.reset_fields(subresource),
            )
            managers[:] = meta(found).get("managedFields") or []
            return found

        def owns(_old: Object, _new: Object) -> list[Object]:
            return managers

        if not self.is_there(served, namespace, name):
            if subresource:
                raise not_found(served.type.resource, name)
            if meta(applied).get("uid"):
                sent = meta(applied)["uid"]
                problem = f"uid mismatch: the provided object specified uid {sent}, and no existing object was found"
                raise conflict(served.type.resource, name, problem)
            return self._writer.create(served, namespace, merged(None), call, owns)
        item = self._writer.update(served, namespace, name, merged, call, subresource=subresource, owns=owns)
        return Item(scale_of(served, item.object), item.revision) if scaling else item

    def delete(self, served: Served, namespace: str, name: str, options: DeleteOptions, call: Call) -> Object:
        """Delete an object; returns a Status, or the object where it remains for a while."""
        return self._deleter.delete(served, namespace, name, options, call)

    def delete_collection(
        self, served: Served, namespace: str, selected: ListOptions, options: DeleteOptions, call: Call
    ) -> Page:
        """Delete all selected objects; returns what they were."""
        page = self.list(served, namespace, selected)
        for item in page.items:
            self._deleter.delete(served, *key(item.object), options, call)
        return page


def _named(body: Object, name: str) -> Object:
    """Return an object that is to be created under the name in the path. Raises StatusError (400)."""
    sent = meta(body)
    if sent.get("name", name) != name:
        raise name_mismatch(sent["name"], name)
    return {**body, "metadata": {**sent, "name": name}}


def loaded(served: Served, item: Item) -> Item:
    """Return a stored item in the version of ``served``."""
    obj = served.load(item.object)
    return item if obj is item.object else Item(obj, item.revision)


def _appliable(served: Served, namespace: str, name: str, patch: Any) -> Object:  # noqa: ANN401 - a body of any kind
    """Check that an applied configuration is of the object in the path. Raises StatusError (400)."""
    kind = served.type
    if not isinstance(patch, dict) or not isinstance(patch.get("metadata", {}), dict):
        raise bad_request("error decoding YAML: the applied configuration must be an object with metadata")
    if (patch.get("apiVersion"), patch.get("kind")) != (kind.api_version, kind.kind):
        raise bad_request(
            f"invalid object type: {patch.get('apiVersion')}, Kind={patch.get('kind')}; "
            f"the path is of {kind.api_version}, Kind={kind.kind}"
        )
    sent = meta(patch)
    if sent.get("name", name) != name:
        raise name_mismatch(sent["name"], name)
    if kind.namespaced and sent.get("namespace", namespace) != namespace:
        raise namespace_mismatch()
    found = {**sent, "name": name, **({"namespace": namespace} if kind.namespaced else {})}
    return {**patch, "metadata": found}
