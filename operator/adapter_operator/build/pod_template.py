"""What every pod of ours has in common: one container with few rights, its volumes, and room to work in.

The security context meets the restricted Pod Security Standard
(https://kubernetes.io/docs/concepts/security/pod-security-standards/). No user ID is set: images name a numeric one,
and some platforms assign their own range. The root file system is read-only, so HOME and TMPDIR are in the scratch
volume.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from adapter_contract.pods import TERMINATION_FILE, WORK_DIRECTORY, mount_environment
from adapter_operator.api.settings import PodDefaults
from adapter_operator.api.v1alpha1.labels import COMPONENT
from adapter_operator.api.v1alpha1.pod import Pod
from adapter_operator.build.metadata import Parent, owner_labels
from adapter_operator.build.mounts import Mounts, mounted
from adapter_operator.build.quantities import amount_of

JSON = dict[str, Any]

_Quantities = Mapping[str, int | str]

WORK_PATH: Final = "/adapter/work"
"""Where the scratch volume is mounted."""

_TERMINATION_PATH: Final = "/dev/termination-log"
_RESERVED_PREFIX: Final = "ADAPTER_"
_RESERVED_VARIABLES: Final = frozenset({"HOME", "TMPDIR", "NVIDIA_VISIBLE_DEVICES"})


def is_reserved_variable(name: str) -> bool:
    """Whether the pod's environment holds this variable in any case, so that a user's would have no effect."""
    return name.startswith(_RESERVED_PREFIX) or name in _RESERVED_VARIABLES


@dataclass(frozen=True)
class Program:
    """What runs in the pod's one container.

    Attributes:
        component: `trainer` or `server`; also the container's name.
        image: what to run.
        environment: beside what every pod has, and what the user adds.
        mounts: beside scratch and shared memory.
        ports: the container's ports, as Kubernetes has them.
        settings: further fields of the container, such as probes.

    """

    component: Literal["trainer", "server"]
    image: str
    environment: Mapping[str, str]
    mounts: Mounts
    ports: tuple[JSON, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def pod_template(
    parent: Parent,
    program: Program,
    *,
    pod: Pod,
    defaults: PodDefaults,
    restart_policy: Literal["Always", "Never"],
    labels: Mapping[str, str] | None = None,
) -> JSON:
    """The pod template of a Job or a Deployment.

    Args:
        parent: the training or deployment whose labels the pods carry.
        program: what runs.
        pod: the user's settings. Whether they are permitted was judged before.
        defaults: the platform's, where the user's are silent.
        restart_policy: of the container.
        labels: beside the owner's and the user's.

    """
    mounts = program.mounts + _room(pod, defaults)
    metadata: JSON = {
        "labels": {
            **(pod.labels or {}),
            **owner_labels(parent),
            COMPONENT: program.component,
            **(labels or {}),
        }
    }
    if pod.annotations:
        metadata["annotations"] = dict(pod.annotations)
    spec: JSON = {
        "automountServiceAccountToken": False,
        "containers": [_container(program, mounts, pod, defaults)],
        "enableServiceLinks": False,
        "restartPolicy": restart_policy,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": pod.termination_grace_period_seconds,
        "volumes": list(mounts.volumes),
    }
    return {"metadata": metadata, "spec": spec | _placement(pod, defaults)}


def _room(pod: Pod, defaults: PodDefaults) -> Mounts:
    """Scratch on disk, and shared memory, which counts as memory of the container."""
    scratch: JSON = {"emptyDir": {"sizeLimit": pod.scratch or defaults.scratch}}
    memory: JSON = {"emptyDir": {"medium": "Memory", "sizeLimit": pod.shared_memory or defaults.shared_memory}}
    return mounted("work", scratch, WORK_PATH, read_only=False) + mounted("shm", memory, "/dev/shm", read_only=False)  # noqa: S108


def _container(program: Program, mounts: Mounts, pod: Pod, defaults: PodDefaults) -> JSON:
    resources = _resources(pod, defaults)
    environment = _environment(program, mounts, pod, resources)
    container: JSON = {
        "name": program.component,
        "image": program.image,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "ports": list(program.ports),
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePath": _TERMINATION_PATH,
        "terminationMessagePolicy": "File",
        "volumeMounts": list(mounts.volume_mounts),
    }
    return container | dict(program.settings)


def _environment(program: Program, mounts: Mounts, pod: Pod, resources: JSON) -> dict[str, str]:
    """A default, the user's variables, then ours: those that the program needs can't be replaced."""
    ours = {
        WORK_DIRECTORY: WORK_PATH,
        TERMINATION_FILE: _TERMINATION_PATH,
        "HOME": WORK_PATH,
        "TMPDIR": WORK_PATH,
        **mount_environment(mounts.paths),
        **program.environment,
    }
    if pod.gpus == 0:
        # Images made for GPUs ask for all of them, and the runtime of a GPU node would give them.
        ours["NVIDIA_VISIBLE_DEVICES"] = "void"
    return _threads(resources) | {variable.name: variable.value for variable in pod.env or []} | ours


def _threads(resources: JSON) -> dict[str, str]:
    """As many threads as the container may use processors.

    OpenMP, and with it torch, otherwise starts one per processor of the node. Where a limit lets only some of them run,
    each step waits for threads that are throttled.
    """
    limit = resources.get("limits", {}).get("cpu")
    return {} if limit is None else {"OMP_NUM_THREADS": str(max(1, math.ceil(amount_of(limit))))}


def _resources(pod: Pod, defaults: PodDefaults) -> JSON:
    """The user's requests and limits; the platform's where they say nothing of a resource, so that none contradict."""
    given, platform = pod.resources, defaults.resources
    requests = given.requests if given else None
    limits = given.limits if given else None
    if requests is None:
        requests = _without(platform.requests, limits)
    if limits is None:
        limits = _without(platform.limits, given.requests if given else None)
    if pod.gpus > 0:
        gpus = {pod.gpu_resource_name: str(pod.gpus)}
        requests, limits = {**requests, **gpus}, {**limits, **gpus}
    found = {"requests": _as_text(requests), "limits": _as_text(limits)}
    return {name: quantities for name, quantities in found.items() if quantities}


def _without(quantities: _Quantities | None, decided: _Quantities | None) -> dict[str, int | str]:
    return {name: amount for name, amount in (quantities or {}).items() if name not in (decided or {})}


def _as_text(quantities: _Quantities) -> dict[str, str]:
    """Quantities as the API server stores them: an applied 4 would differ from its "4"."""
    return {name: str(amount) for name, amount in quantities.items()}


def _placement(pod: Pod, defaults: PodDefaults) -> JSON:
    """Where the pods may run, and as whom."""
    tolerations = defaults.tolerations if pod.tolerations is None else pod.tolerations
    found: JSON = {
        "nodeSelector": defaults.node_selector if pod.node_selector is None else pod.node_selector,
        "tolerations": [toleration.to_dict() for toleration in tolerations],
        "serviceAccountName": pod.service_account_name or defaults.service_account_name,
        "priorityClassName": pod.priority_class_name,
        "runtimeClassName": pod.runtime_class_name,
    }
    return {name: value for name, value in found.items() if value}
