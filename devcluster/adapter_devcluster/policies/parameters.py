"""Parameters: the objects that a binding hands to its policy as ``params``.

Source: ``.../plugin/policy/generic/policy_dispatcher.go``, CollectParams (v0.36).

**Warm-up.** A real server reads parameters from a cache that it fills in the background, and of a built-in kind
(a ConfigMap, say) that cache can be empty or stopped although the object is there: while the server starts to
watch the kind and, up to 1.36 at least, from when the last binding with parameters of the kind was deleted.
Requests are then denied as if the object did not exist. Whoever installs policies has to live with that, so it
is not hidden here: parameters of built-in kinds are found only `PARAMS_WARM_UP` seconds after their policy was
first seen. Custom resources have a cache of their own, and requests wait for it; they are found at once.
"""

from __future__ import annotations

from typing import Final

from adapter_devcluster.client import Client
from adapter_devcluster.objects import Object
from adapter_devcluster.policies.compilation import CompiledPolicy
from adapter_devcluster.policies.matching import ConfigurationError
from adapter_devcluster.selectors import label_selector

# In seconds.
PARAMS_WARM_UP: Final = 1.0
_DEFINITIONS: Final = "customresourcedefinitions.apiextensions.k8s.io"


def param_resource(policy: CompiledPolicy, client: Client) -> str:
    """Return the resource of a policy's ``paramKind``, "" if it takes none. Raises ConfigurationError."""
    if policy.param_kind is None:
        return ""
    api_version, kind = policy.param_kind["apiVersion"], policy.param_kind["kind"]
    found = client.resource_for(api_version, kind)
    if found is None:
        shown = api_version if "/" in api_version else f"/{api_version}"
        raise ConfigurationError(f"failed to find resource referenced by paramKind: '{shown}, Kind={kind}'")
    return found


def collect(
    client: Client, resource: str, reference: Object | None, namespace: str, policy_age: float
) -> list[Object | None]:
    """Return what to evaluate a policy with: each parameter object once, or None for none at all.

    ``resource`` is that of the parameters, ``reference`` the binding's ``paramRef``, ``namespace`` that of the
    request, ``policy_age`` in seconds. Raises ConfigurationError.
    """
    if not resource or reference is None:
        return [None]
    found = _find(client, resource, reference, namespace)
    warm = policy_age >= PARAMS_WARM_UP or client.get(_DEFINITIONS, "", resource) is not None
    if found and warm:
        return [*found]
    if reference.get("parameterNotFoundAction") == "Deny":
        raise ConfigurationError("no params found for policy binding with `Deny` parameterNotFoundAction")
    return []


def _find(client: Client, resource: str, reference: Object, namespace: str) -> list[Object]:
    within = reference.get("namespace") or ""
    if not client.is_namespaced(resource):
        if within:
            raise ConfigurationError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    elif not (within := within or namespace):
        raise ConfigurationError(
            "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
        )
    if name := reference.get("name"):
        found = client.get(resource, within, name)
        return [] if found is None else [found]
    return client.list(resource, within, label_selector(reference.get("selector") or {}))
