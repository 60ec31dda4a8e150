"""The whole operator in this process, on an embedded cluster in which the test plays the kubelet.

    with OperatorLab() as lab:
        lab.apply(training)
        pod = lab.pod_of("support-bot")             # made by the Job controller
        lab.run_pod(pod)
        lab.say(pod, Progress(...))                 # what its management port would answer
        lab.finish_pod(pod, 0, result.to_termination_message())
        lab.until(lambda: lab.ready("AdapterTraining", "support-bot") == "True")

The API server, its controllers, the operator's Kopf watches and HTTP calls are real. Pods are not: the test writes
their status, and what they say comes from a transport of the test.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

import aiohttp
import pytest

from adapter_contract.documents import Document
from adapter_devcluster.client import Change, Client
from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.objects import Object, copy, is_deleting, timestamp
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.labels import DEPLOYMENT, TRAINING
from adapter_operator.handlers.operator import Operator, Options
from adapter_operator.runtime.connection import Kubeconfig
from adapter_testing.manifests import committed_crd
from adapter_testing.scripted_pods import ScriptedPods

T = TypeVar("T")

NAMESPACE = "lab"
KILLS_THE_OPERATOR = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function ClientSession.__del__:pytest.PytestUnraisableExceptionWarning"
)
"""For tests that call `kill_operator`: a session that was being opened at that moment is closed by nobody."""

RESOURCES = {
    "AdapterTraining": "adaptertrainings.adapters.dev",
    "AdapterDeployment": "adapterdeployments.adapters.dev",
    "ConfigMap": "configmaps",
    "ControllerRevision": "controllerrevisions.apps",
    "Deployment": "deployments.apps",
    "Event": "events",
    "Job": "jobs.batch",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets.policy",
    "ReplicaSet": "replicasets.apps",
    "ResourceQuota": "resourcequotas",
    "Service": "services",
}
SETTINGS = {
    "clusterName": "lab",
    "images": {"trainer": "adapter-trainer:test", "server": "adapter-server:test"},
    "storage": {"root": "s3://adapters/root/", "endpointURL": "http://127.0.0.1:9000", "region": "us-east-1"},
    "baseModels": [
        {
            "name": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "source": {"persistentVolumeClaim": {"claimName": "base-models", "path": "smollm2"}},
        }
    ],
}
_NODE = "lab-node"
_INTERRUPTED = 75


class OperatorLab:
    """A cluster with the CRDs, a namespace `lab`, and one operator, which may be stopped and started again."""

    def __init__(
        self, settings: dict[str, Any] | None = None, *, start: bool = True, relist_seconds: float = 600.0
    ) -> None:
        self.settings = OperatorSettings.read({**SETTINGS, **(settings or {})})
        self.cluster = DevCluster(node=False)
        self.pods = ScriptedPods()
        self.relist_seconds = relist_seconds
        self.sigterm_exit_code = _INTERRUPTED
        self.sigterm_message = b""
        self.complaints: list[str] = []
        self.operator: Operator | None = None
        self._begin = start
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._killed = False
        self._complaint_handler = _Complaints(self.complaints)
        self._unwatch: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self.cluster.start()
        try:
            client = self.client
            for kind in ("AdapterTraining", "AdapterDeployment"):
                definition = copy(committed_crd(kind))
                self._call(lambda definition=definition: client.create(
                    "customresourcedefinitions.apiextensions.k8s.io", definition
                ))  # fmt: skip
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            self._call(lambda: client.create("namespaces", namespace))
            self._unwatch = self._call(lambda: client.watch("pods", self._end_deleted_pod))
            logging.getLogger("adapter_operator").addHandler(self._complaint_handler)
            logging.getLogger("kopf").addHandler(self._complaint_handler)
            if self._begin:
                self.start_operator()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop_operator()
        finally:
            self._close()

    def _close(self) -> None:
        logging.getLogger("adapter_operator").removeHandler(self._complaint_handler)
        logging.getLogger("kopf").removeHandler(self._complaint_handler)
        if self._unwatch is not None:
            self._call(self._unwatch)
        self.cluster.stop()

    # The operator

    def start_operator(self) -> Operator:
        """Start an operator; returns when its watches begin. Raises what kept it from starting."""
        self._started.clear()
        self._failure = None
        self._killed = self._complaint_handler.muted = False
        self._thread = threading.Thread(target=self._run_operator, name="operator")
        self._thread.start()
        assert self._started.wait(30), "the operator did not start"
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        assert self.operator is not None
        return self.operator

    def stop_operator(self) -> None:
        """Stop it in good order. Raises what it ended with."""
        if self._thread is None:
            return
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        self._join()
        if self._failure is not None:
            raise self._failure

    def kill_operator(self) -> None:
        """End it in the middle of whatever it does, as SIGKILL would: nothing is finished."""
        loop = self._loop
        assert loop is not None, "no operator runs"
        self._killed = self._complaint_handler.muted = True
        loop.call_soon_threadsafe(loop.stop)
        self._join()
        # What it left behind complains here, and not in the next test.
        gc.collect()

    def _join(self) -> None:
        assert self._thread is not None
        self._thread.join(60)
        assert not self._thread.is_alive(), "the operator does not end"
        self._thread = None

    def _run_operator(self) -> None:
        try:
            with asyncio.Runner() as runner:
                try:
                    runner.run(self._operate())
                except RuntimeError:
                    if not self._killed:
                        raise
                    runner.run(_perish())
        except BaseException as error:
            self._failure = None if self._killed else error
        finally:
            self._started.set()

    async def _operate(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.operator = Operator(
            self.settings,
            Kubeconfig(self.cluster.kubeconfig),
            options=Options(
                probe_host="127.0.0.1", probe_port=0, relist_seconds=self.relist_seconds, grace_seconds=5.0
            ),
            transport=self.pods,
        )
        await self.operator.run(self._stop, on_start=self._started.set)

    # Objects

    @property
    def client(self) -> Client:
        """The cluster's in-process client; use it by `self.cluster.call`."""
        return self.cluster.cluster.api.client("test")

    def _call(self, work: Callable[[], T]) -> T:
        return self.cluster.call(work)

    def apply(self, manifest: Object) -> Object:
        """Create an object, or give the one that is there this spec, these labels and annotations."""
        manifest = copy(manifest)
        manifest["metadata"].setdefault("namespace", NAMESPACE)
        resource, namespace, name = _place(manifest)

        def applied() -> Object:
            known = self.client.get(resource, namespace, name)
            if known is None:
                return self.client.create(resource, manifest)
            fresh = {**copy(known), **{key: value for key, value in manifest.items() if key != "metadata"}}
            for part in ("labels", "annotations"):
                if part in manifest["metadata"]:
                    fresh["metadata"][part] = manifest["metadata"][part]
            return self.client.update(resource, fresh)

        return self._call(applied)

    def change(self, kind: str, name: str, patch: Object, subresource: str = "") -> Object:
        """Merge a patch into an object."""
        return self._call(lambda: self.client.patch(RESOURCES[kind], NAMESPACE, name, patch, subresource))

    def delete(self, kind: str, name: str, **options: Any) -> None:
        """Delete an object."""
        self._call(lambda: self.client.delete(RESOURCES[kind], NAMESPACE, name, **options))

    def get(self, kind: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self._call(lambda: copy(self.client.get(RESOURCES[kind], NAMESPACE, name)))

    def list(self, kind: str) -> list[Object]:
        """Return all objects of a kind."""
        return self._call(lambda: [copy(one) for one in self.client.list(RESOURCES[kind], NAMESPACE)])

    def names(self, kind: str) -> list[str]:
        """The names of all objects of a kind that are not being deleted."""
        return [one["metadata"]["name"] for one in self.list(kind) if not is_deleting(one)]

    def status(self, kind: str, name: str) -> Object:
        """The status of a resource, empty while there is none."""
        found = self.get(kind, name)
        return dict((found or {}).get("status") or {})

    def condition(self, kind: str, name: str, type_: str = "Ready") -> Object:
        """A condition of a resource, empty while there is none."""
        conditions = self.status(kind, name).get("conditions") or ()
        return next((dict(one) for one in conditions if one["type"] == type_), {})

    def reason(self, kind: str, name: str) -> str:
        """The reason of the condition Ready."""
        return str(self.condition(kind, name).get("reason", ""))

    def ready(self, kind: str, name: str) -> str:
        """The status of the condition Ready."""
        return str(self.condition(kind, name).get("status", ""))

    def event_reasons(self, name: str) -> list[str]:
        """Reasons of the events about an object of a name, sorted."""
        return sorted(one["reason"] for one in self.list("Event") if one["involvedObject"]["name"] == name)

    # Waiting

    def until(self, holds: Callable[[], T], seconds: float = 20.0) -> T:
        """Wait until something holds, and return it. Raises TimeoutError with the state of all, AssertionError."""
        end = time.monotonic() + seconds
        while True:
            found = holds()
            if found:
                return found
            if self._failure is not None:
                raise AssertionError("the operator has ended") from self._failure
            if time.monotonic() > end:
                raise TimeoutError(f"it did not come to hold in {seconds} s\n{self.told()}")
            time.sleep(0.01)

    def at_rest(self, seconds: float = 20.0) -> None:
        """Wait until nobody writes any more and the operator has nothing to do."""
        quiet, before, end = 0, -1, time.monotonic() + seconds
        while quiet < 10:
            assert time.monotonic() < end, f"it never comes to rest\n{self.told()}"
            now = self._call(lambda: self.cluster.cluster.api.store.revision)
            idle = self.operator is None or (self.operator.queue.depth, self.operator.queue.working) == (0, 0)
            quiet, before = (quiet + 1, now) if idle and now == before else (0, now)
            time.sleep(0.01)

    def told(self) -> str:
        """The state of all resources, for messages of failures."""
        parts = [f"complaints: {self.complaints}"]
        for kind in ("AdapterTraining", "AdapterDeployment"):
            parts += [f"{kind} {one['metadata']['name']}: {json.dumps(one.get('status'))}" for one in self.list(kind)]
        parts += [f"{kind}: {self.names(kind)}" for kind in ("Job", "Pod", "ConfigMap", "Deployment")]
        return "\n".join(parts)

    # The kubelet

    def pod_of(self, name: str, seconds: float = 20.0) -> str:
        """Wait for a living pod of a Job, training or deployment of this name, and return the pod's own.

        What ends with a dash or a run, as `support-` and `bot-r2`, is the beginning of the pod's name.
        """

        def living() -> str:
            for pod in self.list("Pod"):
                phase = (pod.get("status") or {}).get("phase", "Pending")
                labels = pod["metadata"].get("labels") or {}
                whose = {labels.get(label) for label in (TRAINING, DEPLOYMENT, "batch.kubernetes.io/job-name")}
                begins_so = pod["metadata"]["name"].startswith(f"{name.removesuffix('-')}-")
                is_meant = name in whose or (begins_so and re.search(r"-(r\d+)?$", name))
                if is_meant and phase in {"Pending", "Running"} and not is_deleting(pod):
                    return str(pod["metadata"]["name"])
            return ""

        return self.until(living, seconds)

    def run_pod(self, name: str, *, ready: bool = True, address: str = "127.0.0.9") -> None:
        """Let a pod run on a node."""
        pod = self.get("Pod", name)
        assert pod is not None, f"there is no pod {name}"
        if not pod["spec"].get("nodeName"):
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "target": {"apiVersion": "v1", "kind": "Node", "name": _NODE},
            }
            self._call(lambda: self.client.update("pods", binding, "binding"))
        state = {"running": {"startedAt": timestamp()}}
        self._report(name, "Running", state, ready=ready, more={"podIP": address, "startTime": timestamp()})

    def finish_pod(
        self,
        name: str,
        exit_code: int = 0,
        message: bytes = b"",
        reason: str = "",
        conditions: list[Object] = [],  # noqa: B006
    ) -> None:
        """Let a pod end."""
        end = {
            "exitCode": exit_code,
            "reason": reason or ("Error" if exit_code else "Completed"),
            "message": message.decode(),
            "startedAt": timestamp(),
            "finishedAt": timestamp(),
        }
        phase = "Failed" if exit_code else "Succeeded"
        self._report(name, phase, {"terminated": end}, ready=False, conditions=conditions)

    def say(self, pod: str, document: Document) -> None:
        """Let a pod's management port answer with a document."""
        found = self.get("Pod", pod)
        assert found is not None, f"there is no pod {pod}"
        self.pods.say(found["metadata"]["uid"], document.to_json())

    def _report(
        self,
        name: str,
        phase: str,
        state: Object,
        *,
        ready: bool,
        more: Object | None = None,
        conditions: list[Object] | None = None,
    ) -> None:
        pod = self.get("Pod", name)
        assert pod is not None, f"there is no pod {name}"
        container = pod["spec"]["containers"][0]
        is_ready = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": timestamp()}
        status = {
            **(more or {}),
            "phase": phase,
            "conditions": [is_ready, *(conditions or [])],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": ready,
                    "restartCount": 0,
                    "started": phase == "Running",
                    "state": state,
                }
            ],
        }
        self.change("Pod", name, {"status": status}, "status")

    def _end_deleted_pod(self, change: Change) -> None:
        """A pod that is being deleted gets SIGTERM, ends as the test has it, and goes."""
        pod = change.object
        if change.type == "DELETED" or not is_deleting(pod):
            return
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if self.client.get("pods", namespace, name) is None:
            return
        if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
            self.client.delete("pods", namespace, name, grace_seconds=0)
            return
        end = {"exitCode": self.sigterm_exit_code, "message": self.sigterm_message.decode(), "finishedAt": timestamp()}
        container = {"name": pod["spec"]["containers"][0]["name"], "image": "", "imageID": "", "ready": False}
        status = {
            "phase": "Failed",
            "containerStatuses": [{**container, "restartCount": 0, "state": {"terminated": end}}],
        }
        self.client.patch("pods", namespace, name, {"status": status}, "status")


async def _perish() -> None:
    """Do what the system does for a process that is killed: nothing runs any more, and connections are gone."""
    loop = asyncio.get_running_loop()
    # Found before their users are gone, which would have closed them if they had been asked.
    sessions = [one for one in gc.get_objects() if type(one) is aiohttp.ClientSession and one._loop is loop]
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=30)
    for session in sessions:
        await session.close()


class _Complaints(logging.Handler):
    """Keeps what an operator says at levels that nobody should see in good times."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._complaints = complaints
        self.muted = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.muted:
            self._complaints.append(self.format(record))


def _place(manifest: Object) -> tuple[str, str, str]:
    return RESOURCES[manifest["kind"]], manifest["metadata"]["namespace"], manifest["metadata"]["name"]
