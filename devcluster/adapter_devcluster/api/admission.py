"""What stands between a valid object and the store: namespaces, priorities, addresses, rights of roles, policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from adapter_devcluster.access.escalation import check_binding_write, check_role_write
from adapter_devcluster.access.rbac import RbacAuthorizer
from adapter_devcluster.access.users import User
from adapter_devcluster.api.call import Call
from adapter_devcluster.api.registry import Served
from adapter_devcluster.api.service_addresses import ServiceAddresses
from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.objects import Object, asked_name, is_deleting, meta
from adapter_devcluster.policies import AdmissionRequest, PolicyAdmission, check_binding, check_policy
from adapter_devcluster.policies.request import Operation
from adapter_devcluster.quotas.admission import claimed
from adapter_devcluster.quotas.limit_ranges import check_limits, with_defaults
from adapter_devcluster.statuses import UnknownPathError, forbidden, invalid, not_found
from adapter_devcluster.storage import Store

_RBAC: Final = "rbac.authorization.k8s.io"
_ROLE_CHECKS: Final[dict[str, Callable[[Object, Object | None, User, RbacAuthorizer], None]]] = {
    f"roles.{_RBAC}": check_role_write,
    f"clusterroles.{_RBAC}": check_role_write,
    f"rolebindings.{_RBAC}": check_binding_write,
    f"clusterrolebindings.{_RBAC}": check_binding_write,
}
_POLICY_CHECKS: Final[dict[str, Callable[[Object], list[FieldError]]]] = {
    "validatingadmissionpolicies.admissionregistration.k8s.io": check_policy,
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": check_binding,
}
_QUOTAS: Final = "resourcequotas"
_DEFINITIONS: Final = "customresourcedefinitions.apiextensions.k8s.io"
_SYSTEM_PRIORITIES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class Admission:
    """Checks and completes each write. Raises StatusError."""

    def __init__(self, store: Store, authorizer: RbacAuthorizer, policies: PolicyAdmission, service_range: str) -> None:
        self._store = store
        self._authorizer = authorizer
        self._policies = policies
        self._addresses = ServiceAddresses(service_range)

    def check_namespace(self, served: Served, namespace: str, name: str) -> None:
        """Refuse a creation in a namespace that is not there, or is going; or of a definition that is going."""
        if served.custom:
            definition = self._store.table(_DEFINITIONS).get(("", served.type.resource))
            if definition is None:
                raise UnknownPathError
            if is_deleting(definition.object):
                problem = "create not allowed while custom resource definition is terminating"
                raise forbidden(served.type.resource, name, problem)
        if not served.type.namespaced:
            return
        found = self._store.table("namespaces").get(("", namespace))
        if found is None:
            raise not_found("namespaces", namespace)
        if is_deleting(found.object):
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            problem = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(served.type.resource, name, problem, causes=[cause])

    def admit_create(self, served: Served, obj: Object, call: Call) -> Object:
        """Complete a new, valid object and check that it may be stored."""
        resource = served.type.resource
        ranges = self._all_in("limitranges", obj) if resource in ("pods", "persistentvolumeclaims") else []
        if resource == "pods":
            self._check_runtime_class(obj)
            obj = self._with_priority(with_defaults(obj, ranges))
        elif resource == "services":
            obj = self._addresses.assigned(obj, dry_run=call.dry_run)
        self._check_rights(served, obj, None, call)
        try:
            check_limits(resource, obj, ranges)
            self._check_policies("CREATE", served, obj, None, call)
            claimed(resource, obj, None, self._all_in(_QUOTAS, obj))
        except Exception:
            self.release(served, obj)
            raise
        return obj

    def admit_update(self, served: Served, old: Object, new: Object, call: Call, subresource: str) -> Object:
        """Complete a new state of an object and check that it may be stored."""
        if served.type.resource == "services" and not subresource:
            new = self._addresses.assigned(new, old, dry_run=call.dry_run)
        try:
            if not subresource:
                self._check_rights(served, new, old, call)
            self._check_policies("UPDATE", served, new, old, call, subresource)
            if not subresource:
                claimed(served.type.resource, new, old, self._all_in(_QUOTAS, new))
        except Exception:
            self.release(served, new, kept=old)
            raise
        return new

    def charge(self, served: Served, new: Object, old: Object | None = None) -> None:
        """Count what was stored in the quotas of its namespace, which were found to have room for it."""
        for quota in claimed(served.type.resource, new, old, self._all_in(_QUOTAS, new)):
            self._store.update(_QUOTAS, quota)

    def _all_in(self, resource: str, obj: Object) -> list[Object]:
        """Return the objects of a resource in the namespace of another object."""
        namespace = meta(obj).get("namespace")
        return [item.object for item in self._store.table(resource).items(namespace)] if namespace else []

    def admit_delete(self, served: Served, obj: Object, call: Call) -> None:
        """Check that an object may be deleted."""
        self._check_policies("DELETE", served, None, obj, call)

    def release(self, served: Served, obj: Object, kept: Object | None = None) -> None:
        """Give back what an object held that is gone, but for what another state of it keeps."""
        if served.type.resource == "services":
            self._addresses.release(obj, kept)

    def _with_priority(self, pod: Object) -> Object:
        """Resolve the priority class, as the admission plug-in Priority does."""
        spec, name = pod["spec"], asked_name(pod)
        chosen = self._priority_class(spec.get("priorityClassName") or "", name)
        value, preemption = chosen.get("value", 0), chosen.get("preemptionPolicy", "PreemptLowerPriority")
        if spec["priority"] not in (0, value):
            problem = (
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority "
                f"admission controller computed {value} from the given PriorityClass name"
            )
            raise forbidden("pods", name, problem)
        names = {"priorityClassName": chosen["metadata"]["name"]} if chosen else {}
        return {**pod, "spec": {**spec, **names, "priority": value, "preemptionPolicy": preemption}}

    def _priority_class(self, name: str, pod: str) -> Object:
        """Return a priority class, the default one for "", {} where there is none."""
        if name in _SYSTEM_PRIORITIES:
            return {"metadata": {"name": name}, "value": _SYSTEM_PRIORITIES[name]}
        classes = self._store.table("priorityclasses.scheduling.k8s.io")
        found = classes.get(("", name))
        if found is not None:
            return found.object
        if name:
            raise forbidden("pods", pod, f"no PriorityClass with name {name} was found")
        defaults = [item.object for item in classes.items() if item.object.get("globalDefault")]
        return min(defaults, key=lambda one: one.get("value", 0), default={})

    def _check_runtime_class(self, pod: Object) -> None:
        """Refuse a pod whose runtime class is not there, as the admission plug-in RuntimeClass does."""
        name = pod["spec"].get("runtimeClassName")
        if name and self._store.table("runtimeclasses.node.k8s.io").get(("", name)) is None:
            raise forbidden("pods", asked_name(pod), f'pod rejected: RuntimeClass "{name}" not found')

    def _check_rights(self, served: Served, new: Object, old: Object | None, call: Call) -> None:
        check = _ROLE_CHECKS.get(served.type.resource)
        if check:
            check(new, old, call.user, self._authorizer)
        check_content = _POLICY_CHECKS.get(served.type.resource)
        problems = check_content(new) if check_content else []
        if problems:
            raise invalid(served.type.group, served.type.kind, meta(new)["name"], problems)

    def _check_policies(
        self,
        operation: Operation,
        served: Served,
        new: Object | None,
        old: Object | None,
        call: Call,
        subresource: str = "",
    ) -> None:
        about = new or old or {}
        kind, found = served.type, meta(about)
        request = AdmissionRequest(
            operation=operation,
            group=kind.group,
            version=kind.version,
            resource=kind.plural,
            subresource=subresource,
            kind=kind.kind,
            namespace=str(found.get("namespace") or ""),
            # Of a generated name policies know nothing yet.
            name=str(found["name"]) if old is not None or asked_name(about) == found["name"] else "",
            object=new,
            old_object=old,
            user=call.user,
            dry_run=call.dry_run,
        )
        call.warnings.extend(self._policies.check(request))
