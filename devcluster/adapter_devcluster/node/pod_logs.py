"""Which log of a pod a request means, and why there is none (``pkg/registry/core/pod``, ``pkg/kubelet``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator

from adapter_devcluster.objects import Object, meta, section
from adapter_devcluster.statuses import bad_request


def container_name(pod: Object, asked: str) -> str:
    """Return the container whose log is meant. Raises StatusError (400)."""
    spec, name = section(pod, "spec"), meta(pod)["name"]
    mains = [str(one["name"]) for one in spec.get("containers") or []]
    inits = [str(one["name"]) for one in spec.get("initContainers") or []]
    if asked:
        if asked not in mains + inits:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(mains) == 1:
        return mains[0]
    others = f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(mains)}]{others}")


def container_id(pod: Object, container: str, *, previous: bool) -> str:
    """Return the id of the container whose log is meant. Raises StatusError (400) where there is none."""
    name = meta(pod)["name"]
    status = next((one for one in _statuses(pod) if one["name"] == container), {})
    state = section(status, "state")
    last = str(section(status, "lastState", "terminated").get("containerID") or "")
    if previous:
        if not last:
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return last
    if "running" in state:
        return str(status["containerID"])
    found = str(section(state, "terminated").get("containerID") or "") or last
    if found:
        return found
    reason = str(section(state, "waiting").get("reason") or "")
    told = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
    if reason:
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {told.get(reason, reason)}')
    raise bad_request(f'container "{container}" in pod "{name}" is not available')


def _statuses(pod: Object) -> Iterator[Object]:
    status = section(pod, "status")
    yield from status.get("containerStatuses") or []
    yield from status.get("initContainerStatuses") or []
