"""Following trainings and deployments with the real kubectl, while the test plays the operator and the node."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter_contract import Phase, Progress
from adapter_devcluster.devcluster import DevCluster
from adapter_quickstart import deployment_view, training_view
from adapter_quickstart.deployment_view import DeploymentFailed
from adapter_quickstart.kubectl import CommandFailed, Kubectl
from adapter_quickstart.training_view import TrainingFailed
from adapter_testing.manifests import committed_crd, example
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

DIGEST = "sha256:" + "a" * 64
NOW = "2026-01-01T00:00:00Z"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def cluster():
    with DevCluster(tls=True) as found:
        kubectl = Kubectl(found.kubeconfig, "default")
        kubectl.apply(committed_crd("AdapterTraining"), committed_crd("AdapterDeployment"))
        kubectl("wait", "--for=condition=Established", "crd", "--all")
        yield found


@pytest.fixture
def kubectl(cluster, request):
    namespace = request.node.name.replace("_", "-")[:50].strip("-")
    made = Kubectl(cluster.kubeconfig, namespace)
    made("create", "namespace", namespace)
    return made


def condition(type_: str, status: str, reason: str, message: str = "words") -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": NOW,
    }


def report(kubectl: Kubectl, kind: str, name: str, **status: Any) -> None:
    patch = json.dumps({"status": {"observedGeneration": 1, **status}})
    kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", patch)


def shown(cluster: DevCluster, work: Any) -> tuple[list[str], threading.Thread]:
    """Run a view in a thread; returns what it shows, once it watches."""
    lines: list[str] = []
    before = sum(entry.verb == "watch" for entry in cluster.audit())
    thread = threading.Thread(target=work, args=(lines.append,))
    thread.start()
    until(lambda: sum(entry.verb == "watch" for entry in cluster.audit()) > before)
    return lines, thread


def test_a_training_is_followed_with_its_log_until_its_adapter_is_there(cluster, kubectl):
    kubectl.apply(example("minimal", "AdapterTraining"))
    progress = Progress(
        run=1, attempt=1, phase=Phase.TRAINING, step=3, total_steps=10, percent=30, loss=1.5, updated_time=MOMENT
    )
    result: list[Any] = []
    seen: list[Progress] = []

    def work(show: Any) -> None:
        result.append(training_view.follow(kubectl, "support-bot", show, on_progress=seen.append))

    lines, thread = shown(cluster, work)
    kubectl.apply(job("support-bot-r1-a1", "echo starting", f"printf '%s\\n' '{progress.to_json().decode()}'"))
    report(kubectl, "adtrain", "support-bot", conditions=[condition("Ready", "False", "Pending", "seen")])
    report(
        kubectl,
        "adtrain",
        "support-bot",
        run={"number": 1, "job": "support-bot-r1-a1"},
        conditions=[condition("Ready", "False", "Training", "1 of 1 pods runs")],
    )
    until(lambda: seen != [])
    report(
        kubectl,
        "adtrain",
        "support-bot",
        adapter={"version": 1, "digest": DIGEST},
        conditions=[condition("Ready", "True", "Succeeded", "version 1 is promoted")],
    )
    thread.join()
    assert seen == [progress]
    assert result[0]["adapter"] == {"version": 1, "digest": DIGEST}
    assert lines == [
        "Pending: seen",
        "Training: 1 of 1 pods runs",
        "  support-bot-r1-a1  Training    step 3/10   30 %  loss 1.500",
        "Succeeded: version 1 is promoted",
    ]


def job(name: str, *commands: str) -> dict[str, Any]:
    container = {"name": "main", "image": "devcluster.local/host", "command": ["sh", "-c", "; ".join(commands)]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def test_a_stalled_training_ends_the_view_with_its_words(kubectl):
    kubectl.apply(example("minimal", "AdapterTraining"))
    stalled = [
        condition("Ready", "False", "BadData", "line 3 is no JSON"),
        condition("Stalled", "True", "BadData", "line 3 is no JSON"),
    ]
    report(kubectl, "adtrain", "support-bot", conditions=stalled)
    with pytest.raises(TrainingFailed, match="AdapterTraining support-bot: BadData: line 3 is no JSON"):
        training_view.follow(kubectl, "support-bot", print)


def test_an_earlier_version_is_not_taken_for_the_new_one(cluster, kubectl):
    kubectl.apply(example("minimal", "AdapterTraining"))
    ready = [condition("Ready", "True", "Succeeded")]
    report(kubectl, "adtrain", "support-bot", adapter={"version": 1, "digest": DIGEST}, conditions=ready)
    result: list[Any] = []

    def work(show: Any) -> None:
        result.append(training_view.follow(kubectl, "support-bot", show, after_version=1))

    _, thread = shown(cluster, work)
    report(kubectl, "adtrain", "support-bot", adapter={"version": 2, "digest": DIGEST})
    thread.join()
    assert result[0]["adapter"]["version"] == 2


def test_a_deployment_is_followed_until_it_serves_a_digest(cluster, kubectl):
    kubectl.apply(example("minimal", "AdapterDeployment"))
    result: list[Any] = []

    def work(show: Any) -> None:
        result.append(deployment_view.follow(kubectl, "support", show, deployment_view.serves("support-bot", DIGEST)))

    lines, thread = shown(cluster, work)
    report(
        kubectl,
        "addeploy",
        "support",
        readyReplicas=1,
        adapters=[{"name": "support-bot"}],
        conditions=[condition("Ready", "False", "WaitingForTraining", "support-bot has no version yet")],
    )
    assert deployment_view.pods_answer(kubectl.get("addeploy", "support")["status"])
    report(
        kubectl,
        "addeploy",
        "support",
        adapters=[{"name": "support-bot", "servedDigest": DIGEST}],
        conditions=[condition("Ready", "True", "AdaptersServed", "1 of 1")],
    )
    thread.join()
    assert result[0]["adapters"] == [{"name": "support-bot", "servedDigest": DIGEST}]
    assert lines == ["WaitingForTraining: support-bot has no version yet", "AdaptersServed: 1 of 1"]


def test_a_stalled_deployment_ends_the_view_with_its_words(kubectl):
    kubectl.apply(example("minimal", "AdapterDeployment"))
    stalled = [condition("Ready", "False", "AdapterRefused", "torn"), condition("Stalled", "True", "AdapterRefused")]
    report(kubectl, "addeploy", "support", conditions=stalled)
    with pytest.raises(DeploymentFailed, match="AdapterDeployment support: AdapterRefused: torn"):
        deployment_view.follow(kubectl, "support", print, deployment_view.pods_answer)


def test_what_kubectl_refuses_is_said_in_its_words(kubectl):
    with pytest.raises(CommandFailed, match=r'kubectl get adtrain nobody -o json: .*"nobody" not found'):
        kubectl.get("adtrain", "nobody")
