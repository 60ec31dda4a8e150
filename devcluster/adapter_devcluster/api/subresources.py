"""Subresources that are no plain part of an object: binding, eviction, tokens, the end of a namespace."""

from __future__ import annotations

from typing import Final

from adapter_devcluster.access.tokens import Authenticator
from adapter_devcluster.api.call import Call, DeleteOptions
from adapter_devcluster.api.deletion import Deleter
from adapter_devcluster.api.registry import Registry, Served
from adapter_devcluster.api.writes import Writer
from adapter_devcluster.apiextensions import errors as field_errors
from adapter_devcluster.client import Client
from adapter_devcluster.controllers.disruption import eviction_allowed
from adapter_devcluster.objects import Object, meta, section, timestamp
from adapter_devcluster.patching.failures import unexpected
from adapter_devcluster.statuses import bad_request, conflict, invalid, method_not_allowed, not_found

_POLICIES: Final = ("Foreground", "Background", "Orphan")
_CREATED: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Subresources:
    """Answers POST to a subresource, and what else is special. Raises StatusError."""

    def __init__(
        self, registry: Registry, writer: Writer, deleter: Deleter, client: Client, authenticator: Authenticator
    ) -> None:
        self._registry = registry
        self._writer = writer
        self._deleter = deleter
        self._client = client
        self._authenticator = authenticator

    def create(self, served: Served, namespace: str, name: str, subresource: str, body: Object, call: Call) -> Object:
        """Answer a POST to a subresource of an object."""
        match served.type.resource, subresource:
            case "pods", "binding":
                return self.bind(served, namespace, name, body, call)
            case "pods", "eviction":
                return self._evict(served, namespace, name, body, call)
            case "serviceaccounts", "token":
                return self._authenticator.issue(body, namespace, name)
        raise method_not_allowed(served.type.resource)

    def bind(self, served: Served, namespace: str, name: str, body: Object, call: Call) -> Object:
        """Put a pod on a node, once."""
        _check_name(body, name, "Binding")
        target = section(body, "target")
        node = target.get("name")
        if target.get("kind") not in (None, "", "Node"):
            raise unexpected(f'target.kind: Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"')
        if not isinstance(node, str) or not node:
            raise unexpected("target.name: Required value")

        def bound(pod: Object) -> Object:
            if "deletionTimestamp" in meta(pod):
                raise conflict("pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
            if pod["spec"].get("schedulingGates"):
                raise conflict("pods/binding", name, f"pod {name} has non-empty .spec.schedulingGates")
            if pod["spec"].get("nodeName"):
                problem = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
                raise conflict("pods/binding", name, problem)
            status = section(pod, "status")
            conditions = [one for one in status.get("conditions") or [] if one["type"] != "PodScheduled"]
            scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": timestamp()}
            return {
                **pod,
                "spec": {**pod["spec"], "nodeName": node},
                "status": {**status, "conditions": [*conditions, scheduled]},
            }

        self._writer.update(served, namespace, name, bound, call, subresource="binding")
        return _CREATED

    def _evict(self, served: Served, namespace: str, name: str, body: Object, call: Call) -> Object:
        _check_name(body, name, "Eviction")
        pod = self._client.get("pods", namespace, name)
        if pod is None:
            raise not_found("pods", name)
        refusal = eviction_allowed(self._client, pod, dry_run=call.dry_run)
        if refusal:
            raise refusal
        self._deleter.delete(served, namespace, name, delete_options(section(body, "deleteOptions")), call)
        return _CREATED

    def finalize(self, served: Served, namespace: str, name: str, body: Object, call: Call) -> Object:
        """Write the finalizers in a namespace's spec; without any, the namespace goes."""
        finalizers = section(body, "spec").get("finalizers") or []

        def finalized(found: Object) -> Object:
            sent = section(body, "metadata")
            metadata = {**meta(found), "resourceVersion": sent.get("resourceVersion") or meta(found)["resourceVersion"]}
            return {**found, "metadata": metadata, "spec": {**section(found, "spec"), "finalizers": list(finalizers)}}

        return self._writer.update(served, namespace, name, finalized, call, subresource="finalize").object


def _check_name(body: Object, name: str, kind: str) -> None:
    """Refuse a body that is about another object than the path."""
    if section(body, "metadata").get("name", name) != name:
        raise bad_request(f"name in URL does not match name in {kind} object")


def delete_options(body: Object) -> DeleteOptions:
    """Read a ``DeleteOptions`` object. Raises StatusError (400, 422)."""
    grace = body.get("gracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
        raise bad_request("DeleteOptions.gracePeriodSeconds must be an integer")
    policy, orphan = body.get("propagationPolicy"), body.get("orphanDependents")
    problems = []
    if policy is not None and orphan is not None:
        detail = "orphanDependents and deletionPropagation cannot be both set"
        problems.append(field_errors.invalid("propagationPolicy", policy, detail))
    if policy not in (None, *_POLICIES):
        problems.append(field_errors.not_supported("propagationPolicy", policy, (*_POLICIES, "nil")))
    if any(one != "All" for one in body.get("dryRun") or []):
        problems.append(field_errors.not_supported("dryRun", list(body["dryRun"]), ("All",)))
    if problems:
        raise invalid("meta.k8s.io", "DeleteOptions", "", problems)
    if policy is None and isinstance(orphan, bool):
        policy = "Orphan" if orphan else "Background"
    preconditions = section(body, "preconditions")
    return DeleteOptions(
        grace_seconds=grace,
        propagation=policy,
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
    )
