"""The whole cluster on one event loop: API server, controllers, node and services.

For laptops and tests, never for production: everything is in memory, and pods are processes of whoever started it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from adapter_devcluster.access.bootstrap import bootstrap_objects
from adapter_devcluster.access.users import AUTHENTICATED, MASTERS, User
from adapter_devcluster.api.server import Api
from adapter_devcluster.certificates import Certificates, make_certificates
from adapter_devcluster.controllers.start import start_controllers
from adapter_devcluster.kubeconfig import kubeconfig, write_kubeconfig
from adapter_devcluster.loopback import LoopbackRange, RangeError
from adapter_devcluster.network.services import ServiceNetwork
from adapter_devcluster.node import ImageCommand, Node, NodeConfig
from adapter_devcluster.node.images import default_images
from adapter_devcluster.objects import Object
from adapter_devcluster.serving.audit import AuditLog
from adapter_devcluster.serving.faults import Faults
from adapter_devcluster.serving.server import HttpServer

ADMIN: Final = "devcluster-admin"
_SERVICE_RANGES: Final = tuple(f"127.{second}.0.0/16" for second in range(128, 192))


@dataclass(frozen=True)
class ClusterConfig:
    """How a cluster is made up.

    ``directory`` holds the kubeconfig and the files of pods. ``port`` 0 takes a free one. Without ``tls`` kubectl,
    Helm and other Go clients send no token, so they are nobody; plain HTTP is for scripts. Without ``node`` pods
    stay Pending, for tests that write their status; without ``controllers`` nothing reacts to objects.
    ``node_options`` are further fields of `NodeConfig`.
    """

    directory: Path
    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    node: bool = True
    controllers: bool = True
    gpus: int = 0
    images: Mapping[str, ImageCommand] = field(default_factory=default_images)
    node_options: Mapping[str, Any] = field(default_factory=dict)
    kubeconfig: Path | None = None
    audit_log: Path | None = None
    bookmark_every: float = 60.0
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


class Cluster:
    """A cluster that runs on the event loop that starts it."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self.faults = Faults()
        self.audit = AuditLog(config.audit_log)
        # What was begun ends in the opposite order, however far the start came.
        self._at_end = AsyncExitStack()
        self._at_end.callback(self.audit.close)
        network = self._claim_network()
        self.api = Api({config.token: User(ADMIN, (MASTERS, AUTHENTICATED))}, network)
        self.kubeconfig_path = config.kubeconfig or config.directory / "kubeconfig"
        self.url = ""
        self.node: Node | None = None

    def _claim_network(self) -> str:
        """Return the range of Services' addresses. Raises RangeError."""
        if not self.config.node:
            # Nothing listens on the addresses of Services, so every cluster may give out the same.
            return _SERVICE_RANGES[0]
        try:
            claimed = LoopbackRange(_SERVICE_RANGES)
        except RangeError:
            self.audit.close()
            raise
        self._at_end.callback(claimed.close)
        return str(claimed.network)

    async def start(self) -> None:
        """Start everything; returns when the API answers. Raises OSError where the port is taken, NodeError.

        After an error, `stop` ends what was begun.
        """
        config, at_end = self.config, self._at_end
        config.directory.mkdir(parents=True, exist_ok=True)
        client = self.api.client("kube-apiserver")
        for resource, obj in bootstrap_objects():
            client.create(resource, obj)
        certificates = make_certificates(config.host) if config.tls else None
        authority = certificates.authority if certificates else ""
        self.api.custom_resources.start()
        at_end.callback(self.api.custom_resources.stop)
        at_end.callback(self.api.policies.start())
        if config.controllers:
            manager = self.api.client("kube-controller-manager", "system:kube-controller-manager")
            for controller in start_controllers(manager, with_node=config.node, root_ca=authority):
                at_end.callback(controller.stop)
        if config.node:
            settings = self._node_config()
            kubelet = self.api.client("kubelet", f"system:node:{settings.name}")
            self.node = Node(kubelet, settings, self.api.authenticator)
        server = HttpServer(
            self.api, faults=self.faults, audit=self.audit, logs=self.node, bookmark_every=config.bookmark_every
        )
        at_end.push_async_callback(server.stop)
        port = await server.start(config.host, config.port, certificates.context if certificates else None)
        self.url = f"{'https' if config.tls else 'http'}://{config.host}:{port}"
        if self.node is not None:
            self.node.api_server(config.host, port, authority)
            services = ServiceNetwork(self.api.client("kube-proxy"))
            at_end.push_async_callback(services.stop)
            at_end.push_async_callback(self.node.stop)
            await self.node.start()
            await services.start()
        write_kubeconfig(self.kubeconfig_path, self.kubeconfig(certificates))

    async def stop(self) -> None:
        """Stop everything, what fails to stop notwithstanding; no process of a pod is left."""
        await self._at_end.aclose()

    def kubeconfig(self, certificates: Certificates | None) -> Object:
        """Return the administrator's kubeconfig."""
        return kubeconfig(self.url, self.config.token, certificates.authority if certificates else "")

    def _node_config(self) -> NodeConfig:
        config = self.config
        return NodeConfig(
            directory=config.directory / "node", gpus=config.gpus, images=config.images, **config.node_options
        )
