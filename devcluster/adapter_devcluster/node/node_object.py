"""The Node object and its Lease: what the node says of itself (``pkg/kubelet/nodestatus``, v1.36)."""

from __future__ import annotations

import asyncio
import logging
import platform
from pathlib import Path
from typing import Final

from adapter_devcluster.builtin.quantities import canonical
from adapter_devcluster.client import Client
from adapter_devcluster.node.config import NodeConfig
from adapter_devcluster.node.devices import GPU
from adapter_devcluster.objects import Object, labels_of, meta, micro_timestamp, timestamp
from adapter_devcluster.statuses import StatusError

logger = logging.getLogger(__name__)

_LEASES: Final = "leases.coordination.k8s.io"
_LEASE_NAMESPACE: Final = "kube-node-lease"
_LEASE_SECONDS: Final = 40
_RENEW_SECONDS: Final = 10.0
_VERSION: Final = "v1.36.2"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def capacity(config: NodeConfig) -> dict[str, str]:
    """Return what the node has, all of which pods may have."""
    found = {
        "cpu": str(config.cpus),
        "memory": canonical(f"{config.memory_bytes // 1024}Ki"),
        "pods": str(config.max_pods),
        "ephemeral-storage": "1Ti",
    }
    return found | ({GPU: str(config.gpus)} if config.gpus else {})


def register(client: Client, config: NodeConfig, pod_cidr: str) -> None:
    """Create the Node, or take over the one that is there. Raises StatusError."""
    arch = _ARCHITECTURES.get(platform.machine(), platform.machine())
    labels = {
        "kubernetes.io/arch": arch,
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": config.name,
        **config.labels,
    }
    found = client.get("nodes", "", config.name)
    if found is None:
        metadata: Object = {"name": config.name, "labels": labels}
        spec = {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]}
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
        found = client.create("nodes", node)
    else:
        metadata = {**meta(found), "labels": {**labels_of(found), **labels}}
        found = client.update("nodes", {**found, "metadata": metadata})
    client.update("nodes", {**found, "status": _status(config, arch)}, "status")


def _status(config: NodeConfig, arch: str) -> Object:
    now = timestamp()
    conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    found = capacity(config)
    return {
        "capacity": found,
        "allocatable": found,
        "conditions": [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
            for kind, status, reason, message in conditions
        ],
        "addresses": [
            {"type": "InternalIP", "address": config.host_address},
            {"type": "Hostname", "address": config.name},
        ],
        "nodeInfo": {
            "machineID": "",
            "systemUUID": "",
            "bootID": _boot_id(),
            "kernelVersion": platform.release(),
            "osImage": "adapter-devcluster",
            "containerRuntimeVersion": "devcluster://processes",
            "kubeletVersion": _VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": arch,
        },
    }


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


async def keep_lease(client: Client, name: str) -> None:
    """Create the node's Lease and renew it until cancelled."""
    while True:
        try:
            _renew_lease(client, name)
        except StatusError as error:
            # The next renewal comes long before the lease ends.
            logger.warning("the lease of node %s was not renewed: %s", name, error)
        await asyncio.sleep(_RENEW_SECONDS)


def _renew_lease(client: Client, name: str) -> None:
    if client.get("namespaces", "", _LEASE_NAMESPACE) is None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _LEASE_NAMESPACE}}
        client.create("namespaces", namespace)
    found = client.get(_LEASES, _LEASE_NAMESPACE, name)
    lease: Object = found or {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": _LEASE_NAMESPACE, "name": name},
    }
    spec = {"holderIdentity": name, "leaseDurationSeconds": _LEASE_SECONDS, "renewTime": micro_timestamp()}
    (client.update if found else client.create)(_LEASES, {**lease, "spec": spec})
