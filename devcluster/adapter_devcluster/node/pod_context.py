"""What the containers of a pod need of the pod and of its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapter_devcluster.node.config import NodeConfig
from adapter_devcluster.node.container_process import Isolation
from adapter_devcluster.node.environment import Lookup
from adapter_devcluster.node.volumes import PodVolumes
from adapter_devcluster.objects import Object


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is the same for all pods."""

    config: NodeConfig
    isolation: Isolation
    lookup: Lookup
    allocatable: Mapping[str, str]


class PodContext(Protocol):
    """A pod, as its containers see it."""

    node: NodeFacts
    volumes: PodVolumes
    address: str

    @property
    def pod(self) -> Object:
        """The pod as it is now, with its address."""

    def folder(self, container: str, attempt: int) -> Path:
        """Return the folder of a container's files, which is there; its log is beside it."""

    def node_environment(self, container: str) -> dict[str, str]:
        """Return the variables that pod and node give to a container."""

    def publish(self) -> None:
        """Write the pod's status soon."""

    def event(self, kind: str, reason: str, message: str, container: str = "") -> None:
        """Report on the pod, or on one of its containers."""

    async def config_change(self) -> None:
        """Wait until a config map or a secret of the namespace changes."""
