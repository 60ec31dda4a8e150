"""The defaults of pods and of pod templates (``pkg/apis/core/v1/defaults.go``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from adapter_devcluster.builtin.quantities import canonical
from adapter_devcluster.objects import Object

_MODE: Final = 0o644
_VOLUME_TYPES_WITH_MODE: Final = ("secret", "configMap", "downwardAPI", "projected")
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_WAITS: Final = 300
_NOT_READY: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def default_template(template: Object) -> None:
    """Set the defaults of a pod template."""
    default_pod_spec(template["spec"])


def default_pod_spec(spec: Object) -> None:
    """Set what every pod spec gets, in a template or not."""
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    # The older name of the field is kept equal; where only that is given, it is taken.
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for volume in spec.get("volumes") or ():
        _default_volume(volume)
    for container in containers_of(spec):
        _default_container(container)
    if spec.get("overhead"):
        spec["overhead"] = _rounded(spec["overhead"])


def default_pod(pod: Object) -> None:
    """Set the defaults of a pod: those of its spec, and some that templates don't get."""
    spec = pod["spec"]
    default_pod_spec(spec)
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        resources = container["resources"]
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                port.setdefault("hostPort", port["containerPort"])
    spec.setdefault("enableServiceLinks", True)


def add_tolerations(spec: Object) -> None:
    """Let a pod stay five minutes on a node that is not ready (admission plugin DefaultTolerationSeconds)."""
    found = spec.get("tolerations") or []
    for key in _NOT_READY:
        if not any(_tolerates(one, key) for one in found):
            found = [*found, {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _WAITS}]
    spec["tolerations"] = found


def _tolerates(toleration: Object, key: str) -> bool:
    return toleration.get("key", "") in ("", key) and toleration.get("effect", "") in ("", "NoExecute")


def containers_of(spec: Object) -> Iterator[Object]:
    """Go through all containers of a pod spec."""
    for name in ("containers", "initContainers", "ephemeralContainers"):
        yield from spec.get(name) or ()


def _default_volume(volume: Object) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}
    for name in _VOLUME_TYPES_WITH_MODE:
        if name in volume:
            volume[name].setdefault("defaultMode", _MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    if "image" in volume:
        volume["image"].setdefault("pullPolicy", _pull_policy(volume["image"].get("reference") or ""))
    if "ephemeral" in volume and "volumeClaimTemplate" in volume["ephemeral"]:
        volume["ephemeral"]["volumeClaimTemplate"]["spec"].setdefault("volumeMode", "Filesystem")
    _default_fields(volume.get("downwardAPI", {}).get("items"))
    for source in volume.get("projected", {}).get("sources") or ():
        _default_fields(source.get("downwardAPI", {}).get("items"))
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)


def _default_fields(files: Iterable[Object] | None) -> None:
    for file in files or ():
        if "fieldRef" in file:
            file["fieldRef"].setdefault("apiVersion", "v1")


def _default_container(container: Object) -> None:
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image") or ""))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    _default_fields(env["valueFrom"] for env in container.get("env") or () if "valueFrom" in env)
    resources = container["resources"]
    for name in resources.keys() & {"limits", "requests"}:
        resources[name] = _rounded(resources[name])
    for name in _PROBES:
        if name in container:
            _default_probe(container[name])
    for hook in container.get("lifecycle", {}).values():
        if isinstance(hook, dict):
            _default_http(hook)


def _default_probe(probe: Object) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe.setdefault(name, value)
    _default_http(probe)
    if "grpc" in probe and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _default_http(handler: Object) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")


def _rounded(amounts: dict[str, str]) -> dict[str, str]:
    return {name: canonical(amount, milli=True) for name, amount in amounts.items()}


def _pull_policy(image: str) -> str:
    """Return the policy for an image: what has no tag, or the tag ``latest``, is always pulled."""
    name, digest, _ = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if digest and not colon:
        return "IfNotPresent"
    return "Always" if not colon or tag == "latest" else "IfNotPresent"
