"""Controllers on the API server in this process, with a test that plays the kubelet."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from adapter_devcluster.api.server import Api
from adapter_devcluster.client import Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.objects import Object, is_deleting, timestamp

NAMESPACE = "lab"


class ControllerLab:
    """A server with one namespace and the controllers that a test wants."""

    def __init__(self) -> None:
        self.api = Api()
        self.client: Client = self.api.client("test")
        self.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    def get(self, resource: str, name: str) -> Object | None:
        """Return an object of the namespace."""
        return self.client.get(resource, NAMESPACE, name)

    def pods(self, *, deleted: bool = False) -> list[Object]:
        """Return the pods, those left out that are being deleted unless ``deleted``."""
        return [pod for pod in self.client.list("pods", NAMESPACE) if deleted or not is_deleting(pod)]

    def events(self) -> list[tuple[str, str]]:
        """Return type and reason of each event, in order."""
        found = sorted(self.client.list("events", NAMESPACE), key=lambda one: int(one["metadata"]["resourceVersion"]))
        return [(one["type"], one["reason"]) for one in found]

    def bind(self, name: str) -> None:
        """Put a pod on a node, so that its deletion waits for the kubelet."""
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "node"},
        }
        self.client.update("pods", binding, "binding")

    def deny(self, resource: str, *operations: str, group: str = "") -> None:
        """Refuse operations on a resource, of the core group by default, from now on."""
        rules = [{"apiGroups": [group], "apiVersions": ["v1"], "operations": list(operations), "resources": [resource]}]
        policy = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "deny"},
            "spec": {
                "matchConstraints": {"resourceRules": rules},
                "validations": [{"expression": "false", "message": "not today"}],
            },
        }
        binding = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "deny"},
            "spec": {"policyName": "deny", "validationActions": ["Deny"]},
        }
        self.client.create("validatingadmissionpolicies.admissionregistration.k8s.io", policy)
        self.client.create("validatingadmissionpolicybindings.admissionregistration.k8s.io", binding)

    def allow(self) -> None:
        """Undo `deny`."""
        for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            self.client.delete(f"{plural}.admissionregistration.k8s.io", "", "deny")

    def run(self, name: str) -> None:
        """Let a pod run."""
        self._report(name, "Running", {"running": {"startedAt": timestamp()}})

    def finish(self, name: str, code: int = 0) -> None:
        """Let a pod end; one that is being deleted goes then."""
        end = {"exitCode": code, "startedAt": timestamp(), "finishedAt": timestamp(), "reason": "Completed"}
        self._report(name, "Failed" if code else "Succeeded", {"terminated": end})
        pod = self.get("pods", name)
        if pod is not None and is_deleting(pod):
            self.client.delete("pods", NAMESPACE, name, grace_seconds=0)

    def _report(self, name: str, phase: str, state: Object) -> None:
        ready = "True" if phase == "Running" else "False"
        status = {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": timestamp()}],
            "containerStatuses": [
                {
                    "name": "main",
                    "image": "example.test/app:1",
                    "imageID": "",
                    "ready": phase == "Running",
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        self.client.patch("pods", NAMESPACE, name, {"status": status}, "status")


def play(*controllers: Callable[[Client], Controller]) -> Callable[[Callable[[ControllerLab], Awaitable[None]]], None]:
    """Return what plays an asynchronous scene in a lab in which these controllers run."""

    async def perform(scene: Callable[[ControllerLab], Awaitable[None]]) -> None:
        lab = ControllerLab()
        running = [make(lab.api.client("controllers")) for make in controllers]
        for controller in running:
            controller.start()
        try:
            await scene(lab)
        finally:
            for controller in running:
                controller.stop()

    return lambda scene: asyncio.run(perform(scene))


async def eventually(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until a condition holds and return what it returned. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        found = condition()
        if found:
            return found
        if loop.time() > deadline:
            raise TimeoutError(f"after {seconds} s it still does not hold: {inspect.getsource(condition).strip()}")
        await asyncio.sleep(0.002)


async def at_rest(lab: ControllerLab) -> None:
    """Wait until nothing writes any more."""
    quiet, revision = 0, lab.api.store.revision
    while quiet < 5:
        await asyncio.sleep(0.002)
        quiet = quiet + 1 if lab.api.store.revision == revision else 0
        revision = lab.api.store.revision
