"""A node on an API server in this process, which tests give pods to run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapter_devcluster.api.server import Api
from adapter_devcluster.client import Client
from adapter_devcluster.node import Node, NodeConfig
from adapter_devcluster.node.broadcast import Broadcast
from adapter_devcluster.objects import Object
from adapter_testing.processes import wait_until

NAMESPACE = "lab"
IMAGE = "devcluster.local/host"
# Nothing here takes that long; what does has gone wrong.
PATIENCE = 20.0


class NodeLab:
    """The server's client, the node, and ways to wait for what they do."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.api = Api()
        self.client: Client = self.api.client("test")
        self.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.create("serviceaccounts", "ServiceAccount", "default")
        self.directory = directory
        self.node = Node(self.api.client("kubelet"), NodeConfig(directory=directory, **config), self.api.authenticator)
        self.node.api_server("127.0.0.1", 6443, "the authority")
        self._changed = Broadcast()
        for resource in ("pods", "events", "nodes"):
            self.client.watch(resource, lambda _: self._changed.tell())

    def create(self, resource: str, kind: str, name: str, **fields: Any) -> Object:
        """Create an object of the core group in the namespace."""
        metadata = {"name": name, "namespace": NAMESPACE, **fields.pop("metadata", {})}
        return self.client.create(resource, {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields})

    def config_map(self, name: str, **data: str) -> None:
        """Create a config map, or change one."""
        if self.client.get("configmaps", NAMESPACE, name) is None:
            self.create("configmaps", "ConfigMap", name, data=data)
        else:
            self.client.patch("configmaps", NAMESPACE, name, {"data": data})

    def pod(self, name: str, script: str = "", *, metadata: Object | None = None, **spec: Any) -> Object:
        """Create a pod whose container ``main`` runs a shell script; fields of that container may be in ``main``.

        Pods are not restarted unless ``restartPolicy`` says so, and have 2 seconds to end.
        """
        main = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **spec.pop("main", {})}
        whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "containers": [main], **spec}
        return self.create("pods", "Pod", name, metadata=metadata or {}, spec=whole)

    def deny(self, resource: str, operation: str = "*") -> None:
        """Refuse operations on a resource (``pods``, ``pods/status``, ``leases.coordination.k8s.io``) until `allow`."""
        plural, _, group = resource.partition(".")
        rules = [{"apiGroups": [group], "apiVersions": ["v1"], "operations": [operation], "resources": [plural]}]
        whole = {"resourceRules": rules}
        spec: Object = {"matchConstraints": whole, "validations": [{"expression": "false", "message": "not today"}]}
        metadata = {"name": "deny"}
        version = "admissionregistration.k8s.io/v1"
        policy = {"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec}
        self.client.create("validatingadmissionpolicies.admissionregistration.k8s.io", policy)
        spec = {"policyName": "deny", "validationActions": ["Deny"]}
        binding = {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": spec,
        }
        self.client.create("validatingadmissionpolicybindings.admissionregistration.k8s.io", binding)

    def allow(self) -> None:
        """End what `deny` began."""
        self.client.delete("validatingadmissionpolicybindings.admissionregistration.k8s.io", "", "deny")

    def get(self, name: str) -> Object:
        """Return a pod."""
        found = self.client.get("pods", NAMESPACE, name)
        assert found is not None, f"pod {name} is gone"
        return found

    def delete(self, name: str, grace_seconds: int | None = None) -> None:
        """Delete a pod."""
        self.client.delete("pods", NAMESPACE, name, grace_seconds=grace_seconds)

    def container(self, name: str, container: str = "main") -> Object:
        """Return the status of a container; empty before there is one."""
        status = self.get(name).get("status", {})
        statuses = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
        return next((one for one in statuses if one["name"] == container), {})

    def waiting(self, name: str, container: str = "main") -> Object:
        """Return why a container waits; empty if it does not."""
        found: Object = self.container(name, container).get("state", {}).get("waiting", {})
        return found

    def condition(self, name: str, kind: str) -> Object:
        """Return a condition of a pod; empty before there is one."""
        return next((one for one in self.get(name)["status"].get("conditions", []) if one["type"] == kind), {})

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return reason and message of a pod's events, in order."""
        found = [one for one in self.client.list("events", NAMESPACE) if one["involvedObject"]["name"] == name]
        found.sort(key=lambda one: int(one["metadata"]["resourceVersion"]))
        return [(one["reason"], one["message"]) for one in found]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds that shows in the API. Raises TimeoutError with all pods."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            pods = [(one["metadata"]["name"], one.get("status")) for one in self.client.list("pods", NAMESPACE)]
            events = [(one["reason"], one["message"]) for one in self.client.list("events", NAMESPACE)]
            raise TimeoutError(f"in vain: {pods} {events}") from None

    async def phase(self, name: str, *phases: str) -> Object:
        """Wait for a phase of a pod, and return the pod."""
        await self.until(lambda: self.get(name).get("status", {}).get("phase") in phases)
        return self.get(name)

    async def running(self, name: str, container: str = "main") -> None:
        """Wait until a container runs."""
        await self.until(lambda: "running" in self.container(name, container).get("state", {}))

    async def ready(self, name: str, wanted: str = "True") -> None:
        """Wait until a pod is ready, or is not."""
        await self.until(lambda: self.condition(name, "Ready").get("status") == wanted)

    async def gone(self, name: str) -> None:
        """Wait until a pod's object is gone."""
        await self.until(lambda: self.client.get("pods", NAMESPACE, name) is None)

    async def log(self, name: str, **options: Any) -> str:
        """Return a log, to its end where ``follow`` is asked for."""
        async with asyncio.timeout(PATIENCE):
            parts = [part async for part in self.node.logs(NAMESPACE, name, **options)]
        return b"".join(parts).decode()

    async def logged(self, name: str, text: str, **options: Any) -> None:
        """Wait until a text is in a running container's log."""
        said = b""
        async with asyncio.timeout(PATIENCE):
            async for part in self.node.logs(NAMESPACE, name, follow=True, **options):
                said += part
                if text.encode() in said:
                    return
        raise AssertionError(f"the log ended without {text!r}: {said.decode()}")

    async def logged_when_running(self, name: str, text: str) -> None:
        """Wait until a container runs and has logged a text."""
        await self.running(name)
        await self.logged(name, text)

    async def no_pod_folders(self) -> None:
        """Wait until the node has cleaned up after all pods whose objects are gone."""
        await wait_until(lambda: not list((self.directory / "pods").iterdir()))


@asynccontextmanager
async def node_lab(directory: Path, **config: Any) -> AsyncIterator[NodeLab]:
    """Run a node; whatever happens, it is stopped."""
    lab = NodeLab(directory, **config)
    try:
        await lab.node.start()
        yield lab
    finally:
        await lab.node.stop()


def with_node(work: Callable[[NodeLab], Awaitable[None]], directory: Path, **config: Any) -> None:
    """Run a test's body with a node."""

    async def run() -> None:
        async with node_lab(directory, **config) as lab:
            await work(lab)

    asyncio.run(run())
