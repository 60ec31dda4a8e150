"""The operator's API client on an embedded cluster that serves a kind of its own, Widget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from adapter_devcluster.devcluster import DevCluster
from adapter_operator.runtime.client import ApiClient, RequestMeter
from adapter_operator.runtime.connection import Kubeconfig
from adapter_operator.runtime.resources import Resources, ResourceType

T = TypeVar("T")
WIDGETS = ResourceType("example.dev/v1", "Widget", "widgets")
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_STATUS = {"type": "object", "properties": {"words": {"type": "array", "items": {"type": "string"}}}}
WIDGET_DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.dev"},
    "spec": {
        "group": "example.dev",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": _OPEN,
                            "status": _STATUS,
                        },
                    }
                },
            }
        ],
    },
}  # fmt: skip


class ApiClientLab:
    """The client under test, on an event loop of its own for each scene."""

    def __init__(self, cluster: DevCluster) -> None:
        self.cluster = cluster

    def play(self, scene: Callable[[ApiClient], Awaitable[T]], *, seconds: float = 30.0) -> T:
        """Play a scene with a client."""

        async def played() -> T:
            async with self.client(seconds=seconds) as client:
                return await scene(client)

        return asyncio.run(played())

    @asynccontextmanager
    async def client(self, *, seconds: float = 30.0, meter: RequestMeter | None = None) -> AsyncIterator[ApiClient]:
        credentials = Kubeconfig(self.cluster.kubeconfig)
        async with ApiClient(credentials, Resources([WIDGETS]), seconds=seconds, meter=meter) as client:
            yield client


def install_widgets(cluster: DevCluster) -> None:
    """Let a cluster serve Widgets."""
    client = cluster.cluster.api.client("test")
    cluster.call(lambda: client.create("customresourcedefinitions.apiextensions.k8s.io", WIDGET_DEFINITION))


def config_map(name: str, namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    """A ConfigMap with one word."""
    named = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"word": "one"}}


def widget(name: str, **metadata: Any) -> dict[str, Any]:
    """A Widget."""
    named = {"name": name, "namespace": "default", **metadata}
    return {"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": named, "spec": {"size": 1}}
