"""Settings of the node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from adapter_devcluster.node.images import ImageCommand, default_images


def _machine_cpus() -> int:
    return len(os.sched_getaffinity(0))


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """How the node is called, where its files lie, and what it gives to pods.

    Attributes:
        directory: folder for pods' files. What is below ``pods`` in it is deleted at each start.
        images: pattern (see `images.find_image`) to command.
        image_volumes: pattern to the folder that stands for an image volume.
        claims: folder with a folder per namespace and claim (default: ``<directory>/claims``), which are never deleted.
        gpus: how many ``nvidia.com/gpu`` the node offers.
        cpus, memory_bytes, max_pods: what else it offers; default: what the machine has.
        pod_cidr: loopback range of pod addresses; default: the first free one from 127.64.0.0/16 on.
        namespaces: ``off`` translates mount paths even where the system allows namespaces.
        labels: further labels of the Node.
        restart_backoff_seconds, max_backoff_seconds: wait before the second restart of a container, doubled by
            each further one. Upstream has 10 s and 300 s; a laptop's user would rather see the next failure.
        volume_update_seconds: 0: a change of a config map or secret is in its volumes at once. Otherwise it is seen
            at this period, and when the pod's labels or annotations change, as on a real node (60 to 90 s there).
    """

    directory: Path
    name: str = "devcluster"
    images: Mapping[str, ImageCommand] = field(default_factory=default_images)
    image_volumes: Mapping[str, Path] = field(default_factory=dict)
    claims: Path | None = None
    gpus: int = 0
    cpus: int = field(default_factory=_machine_cpus)
    memory_bytes: int = field(default_factory=_machine_memory)
    max_pods: int = 110
    pod_cidr: str = ""
    namespaces: Literal["auto", "off"] = "auto"
    labels: Mapping[str, str] = field(default_factory=dict)
    restart_backoff_seconds: float = 1.0
    max_backoff_seconds: float = 300.0
    volume_update_seconds: float = 0.0

    @property
    def claims_folder(self) -> Path:
        """Where the folders of claims are."""
        return self.claims or self.directory / "claims"

    @property
    def host_address(self) -> str:
        """The node's own address."""
        return "127.0.0.1"
