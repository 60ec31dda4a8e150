"""The whole operator on the embedded cluster: from a manifest to a served adapter, and what comes after."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from adapter_devcluster.serving.faults import CallFault, FaultPlan, WatchFault
from adapter_operator.api.v1alpha1.conditions import violations
from adapter_testing.manifests import changed, example
from adapter_testing.operator_lab import KILLS_THE_OPERATOR, NAMESPACE, OperatorLab
from adapter_testing.operator_stories import digest, progress, serve, train, wanted_digest

pytestmark = pytest.mark.integration

TRAINING = example("minimal", "AdapterTraining")
DEPLOYMENT = example("minimal", "AdapterDeployment")
BOT, SUPPORT = "support-bot", "support"


@pytest.fixture
def lab() -> Iterator[OperatorLab]:
    with OperatorLab() as found:
        yield found
    assert found.complaints == []


def statuses_are_sound(lab: OperatorLab) -> None:
    for kind, name in (("AdapterTraining", BOT), ("AdapterDeployment", SUPPORT)):
        found = lab.get(kind, name)
        if found is not None:
            assert violations(kind, found["status"], found["metadata"]["generation"]) == []  # type: ignore[arg-type]


def start_serving(lab: OperatorLab) -> str:
    """Apply both resources, train version 1 and let a pod serve it; returns the pod."""
    lab.apply(TRAINING)
    train(lab, BOT, "a")
    return follow(lab)


def follow(lab: OperatorLab) -> str:
    """Let a deployment follow the training, whose version 1 is there; returns its pod."""
    lab.apply(DEPLOYMENT)
    pod = lab.pod_of(SUPPORT)
    lab.until(lambda: wanted_digest(lab, pod, BOT) == digest("a"))
    lab.run_pod(pod)
    serve(lab, pod)
    lab.until(lambda: lab.ready("AdapterDeployment", SUPPORT) == "True")
    return pod


def test_from_a_manifest_to_a_served_adapter_and_its_next_version(lab: OperatorLab) -> None:
    lab.apply(TRAINING)
    pod = lab.pod_of(f"{BOT}-r1-a1")
    assert lab.ready("AdapterTraining", BOT) == "False"
    statuses_are_sound(lab)
    lab.run_pod(pod)
    lab.say(pod, progress(3))
    lab.until(lambda: lab.status("AdapterTraining", BOT).get("progress", {}).get("step") == 3)
    assert lab.status("AdapterTraining", BOT)["progress"]["percent"] == 30
    train(lab, BOT, "a")
    status = lab.status("AdapterTraining", BOT)
    assert (status["adapter"]["version"], status["adapter"]["digest"]) == (1, digest("a"))
    assert [one["version"] for one in status["versions"]] == [1]
    statuses_are_sound(lab)

    server = follow(lab)
    status = lab.status("AdapterDeployment", SUPPORT)
    assert (status["adaptersReady"], status["readyReplicas"]) == ("1/1", 1)
    assert status["adapters"][0]["servedDigest"] == digest("a")
    statuses_are_sound(lab)

    # Other hyperparameters are another run; version 1 stays served meanwhile.
    lab.apply(changed(TRAINING, {"spec.hyperparameters.epochs": "2"}))
    second = lab.pod_of(f"{BOT}-r2-a1")
    lab.run_pod(second)
    assert lab.status("AdapterTraining", BOT)["adapter"]["digest"] == digest("a")
    assert lab.ready("AdapterDeployment", SUPPORT) == "True"
    train(lab, BOT, "c", run=2)
    lab.until(lambda: wanted_digest(lab, server, BOT) == digest("c"))
    lab.until(lambda: "annotations" in (lab.get("Pod", server) or {})["metadata"])
    serve(lab, server)
    lab.until(lambda: lab.status("AdapterDeployment", SUPPORT)["adapters"][0].get("servedDigest") == digest("c"))
    lab.until(lambda: lab.ready("AdapterDeployment", SUPPORT) == "True")
    assert lab.pod_of(SUPPORT) == server
    assert [one["version"] for one in lab.status("AdapterTraining", BOT)["versions"]] == [2, 1]

    # One field goes back to version 1 and stays there.
    held = changed(DEPLOYMENT)
    held["spec"]["adapters"][0]["source"]["training"]["digest"] = digest("a")
    lab.apply(held)
    lab.until(lambda: wanted_digest(lab, server, BOT) == digest("a"))
    serve(lab, server)
    lab.until(lambda: lab.ready("AdapterDeployment", SUPPORT) == "True")
    status = lab.status("AdapterDeployment", SUPPORT)["adapters"][0]
    assert (status["servedDigest"], status["version"]) == (digest("a"), 1)
    assert len(lab.list("Job")) == 2
    assert "Succeeded" in lab.event_reasons(BOT)
    statuses_are_sound(lab)


def test_another_operator_over_what_is_there_writes_nothing(lab: OperatorLab) -> None:
    server = start_serving(lab)
    lab.at_rest()
    lab.stop_operator()
    before, calls = lab.cluster.cluster.api.store.revision, len(lab.cluster.audit())
    operator = lab.start_operator()
    lab.until(lambda: operator.synced and server)
    lab.at_rest()
    writes = [(one.verb, one.uri) for one in lab.cluster.audit()[calls:] if one.verb not in {"get", "list", "watch"}]
    assert writes == []
    assert lab.cluster.cluster.api.store.revision == before
    # It works all the same.
    lab.change("AdapterTraining", BOT, {"spec": {"hyperparameters": {"epochs": "2"}}})
    lab.pod_of(f"{BOT}-r2-a1")


def test_a_pod_that_falls_silent_is_noticed_and_one_that_comes_back_too(lab: OperatorLab) -> None:
    server = start_serving(lab)
    uid = (lab.get("Pod", server) or {})["metadata"]["uid"]
    lab.pods.fall_silent(uid)
    operator = lab.operator
    assert operator is not None
    streams = operator._streams
    assert streams is not None

    def silent() -> bool:
        heard = streams.heard(uid)
        return heard is not None and heard.unreachable_since is not None

    lab.until(silent)
    # For a minute what it said last stands.
    assert lab.ready("AdapterDeployment", SUPPORT) == "True"
    serve(lab, server)
    lab.until(lambda: not silent())
    assert {target.path for target in lab.pods.asked} == {"/v1/progress", "/v1/adapters"}
    assert {target.port for target in lab.pods.asked} == {8081}


def test_objects_of_somebody_else_are_left_alone_and_told_of(lab: OperatorLab) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SUPPORT},
        "spec": {"ports": [{"port": 9}], "selector": {"app": "theirs"}},
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{BOT}-r1-a1"},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x:1"}]}},
        },
    }
    theirs = [lab.apply(service), lab.apply(job)]
    lab.apply(TRAINING)
    lab.apply(DEPLOYMENT)
    for kind, name in (("AdapterTraining", BOT), ("AdapterDeployment", SUPPORT)):
        lab.until(lambda kind=kind, name=name: lab.reason(kind, name) == "NameConflict")  # type: ignore[misc]
    lab.at_rest()
    statuses_are_sound(lab)
    found = [lab.get("Service", SUPPORT), lab.get("Job", f"{BOT}-r1-a1")]
    assert [(one or {})["spec"] for one in found] == [one["spec"] for one in theirs]
    assert all("ownerReferences" not in (one or {})["metadata"] for one in found)
    writes = [one.uri for one in lab.cluster.audit() if one.verb == "patch" and "/status" in one.uri]
    assert len(writes) <= 4, "the status flaps"


def test_a_deleted_training_leaves_nothing_to_do(lab: OperatorLab) -> None:
    lab.apply(TRAINING)
    pod = lab.pod_of(f"{BOT}-r1-a1")
    lab.run_pod(pod)
    lab.delete("AdapterTraining", BOT)
    lab.until(lambda: not lab.list("Pod") and not lab.list("Job") and not lab.list("ConfigMap"))
    operator = lab.operator
    assert operator is not None
    lab.until(lambda: operator.store.count() == {})
    lab.at_rest()


def test_kopf_only_reads(lab: OperatorLab) -> None:
    start_serving(lab)
    kopfs = [one for one in lab.cluster.audit() if one.user_agent.startswith("kopf/")]
    assert {one.verb for one in kopfs} <= {"get", "list", "watch"}
    children = [one.uri for one in kopfs if one.verb == "watch" and "adapters.dev" not in one.uri]
    assert len(children) >= 8
    selector = "app.kubernetes.io/managed-by=adapter-operator"
    assert {parse_qs(urlsplit(uri).query)["labelSelector"][0] for uri in children} == {selector}
    for kind in ("AdapterTraining", "AdapterDeployment"):
        for one in lab.list(kind):
            assert not one["metadata"].keys() & {"annotations", "finalizers"}


CALLS = {
    ("get", "adaptertrainings"),
    ("get", "adapterdeployments"),
    ("get", "deployments"),
    ("get", "services"),
    ("get", "configmaps"),
    ("get", "poddisruptionbudgets"),
    ("get", "jobs"),
    ("get", "events"),
    ("patch", "adaptertrainings/status"),
    ("patch", "adapterdeployments/status"),
    ("patch", "configmaps"),
    ("patch", "deployments"),
    ("patch", "services"),
    ("patch", "poddisruptionbudgets"),
    ("patch", "pods/status"),
    ("patch", "events"),
    ("create", "configmaps"),
    ("create", "controllerrevisions"),
    ("create", "jobs"),
    ("create", "events"),
    ("delete", "configmaps"),
    ("delete", "jobs"),
    ("list", "events"),
    ("list", "jobs"),
    ("list", "pods"),
}
"""All that the operator asks for beside the lists and watches of what it watches."""


def test_it_asks_for_nothing_that_its_role_does_not_name(lab: OperatorLab) -> None:
    server = start_serving(lab)
    lab.apply(changed(TRAINING, {"spec.hyperparameters.epochs": "2"}))
    train(lab, BOT, "c", run=2)
    lab.until(lambda: wanted_digest(lab, server, BOT) == digest("c"))
    lab.at_rest()
    ours = [one for one in lab.cluster.audit() if one.user_agent == "adapter-operator" and one.target.plural]
    found = {(one.verb, "/".join(part for part in (one.target.plural, one.target.subresource) if part)) for one in ours}
    assert found <= CALLS
    assert ("create", "jobs") in found


def test_probes_and_metrics_of_a_working_operator(lab: OperatorLab) -> None:
    start_serving(lab)
    assert lab.operator is not None

    def ask(path: str) -> str:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert lab.operator is not None
        with opener.open(f"http://127.0.0.1:{lab.operator.probe_port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    assert (ask("/healthz"), ask("/readyz")) == ("ok\n", "ok\n")
    metrics = ask("/metrics")
    assert 'controller_runtime_reconcile_total{controller="adaptertraining",result="success"}' in metrics
    assert BOT not in metrics


def test_only_the_namespaces_of_the_settings() -> None:
    with OperatorLab({"namespaces": [NAMESPACE]}) as lab:
        other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
        lab.cluster.call(lambda: lab.client.create("namespaces", other))
        lab.apply(changed(TRAINING, {"metadata.namespace": "other"}))
        lab.apply(TRAINING)
        lab.pod_of(f"{BOT}-r1-a1")
        lab.at_rest()
        paths = {one.uri.partition("?")[0] for one in lab.cluster.audit() if one.verb in {"list", "watch"}}
        assert all(f"/namespaces/{NAMESPACE}/" in path for path in paths), paths
        elsewhere = lab.cluster.call(lambda: lab.client.get("adaptertrainings.adapters.dev", "other", BOT))
        assert elsewhere is not None
        assert "status" not in elsewhere
    assert lab.complaints == []


def test_a_server_that_is_unwell_and_watches_that_lie_change_nothing_of_the_end(lab: OperatorLab) -> None:
    lab.cluster.set_faults(
        FaultPlan(
            calls=(
                CallFault(verbs=("create", "patch"), share=0.15, effect="Lose"),
                CallFault(verbs=("create", "patch"), share=0.1, code=500),
                CallFault(verbs=("get", "list"), share=0.05, code=503),
            ),
            watches=(WatchFault(duplicate_share=0.3, hold_share=0.3, hold_seconds=0.2),),
            seed=11,
        )
    )
    start_serving(lab)
    lab.apply(changed(TRAINING, {"spec.hyperparameters.epochs": "2"}))
    train(lab, BOT, "c", run=2)
    lab.cluster.set_faults(FaultPlan())
    assert sorted(lab.names("Job")) == [f"{BOT}-r1-a1", f"{BOT}-r2-a1"]
    assert [one["version"] for one in lab.status("AdapterTraining", BOT)["versions"]] == [2, 1]
    lab.at_rest()
    statuses_are_sound(lab)


@KILLS_THE_OPERATOR
def test_an_operator_killed_again_and_again_starts_no_second_job(lab: OperatorLab) -> None:
    lab.apply(DEPLOYMENT)
    lab.apply(TRAINING)
    for _ in range(6):
        lab.kill_operator()
        lab.start_operator()
    train(lab, BOT, "a")
    assert lab.names("Job") == [f"{BOT}-r1-a1"]
    assert json.dumps(lab.status("AdapterTraining", BOT)["attempts"]).count('"number"') == 1


def test_events_that_were_lost_are_made_up_for_by_lists() -> None:
    with OperatorLab(relist_seconds=0.3) as lab:
        lab.apply(TRAINING)
        pod = lab.pod_of(f"{BOT}-r1-a1")
        lab.run_pod(pod)
        lab.at_rest()
        lab.cluster.set_faults(FaultPlan(watches=(WatchFault(lose_share=1.0),)))
        train(lab, BOT, "a")
        lab.delete("AdapterTraining", BOT)
        operator = lab.operator
        assert operator is not None
        lab.until(lambda: operator.store.count() == {})
    assert lab.complaints == []


def test_a_watch_that_begins_anew_asks_for_a_list_of_what_is_gone(
    lab: OperatorLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter_operator.runtime.relist._SOON_SECONDS", 0.05)
    lab.apply(TRAINING)
    lab.apply(changed(TRAINING, {"metadata.name": "stays"}))
    for name in (BOT, "stays"):
        lab.run_pod(lab.pod_of(f"{name}-r1-a1"))
    lab.at_rest()
    operator = lab.operator
    assert operator is not None
    lab.cluster.pause()
    lab.cluster.cut_watches()
    lab.delete("AdapterTraining", BOT)
    lab.until(lambda: BOT not in lab.names("AdapterTraining"))
    lab.cluster.forget_history()
    lab.cluster.resume()
    lab.until(lambda: operator.store.get("AdapterTraining", NAMESPACE, BOT) is None)
    assert operator.store.get("AdapterTraining", NAMESPACE, "stays") is not None


def test_a_selector_serves_every_training_of_its_namespace_that_it_chooses(lab: OperatorLab) -> None:
    chosen = changed(TRAINING, {"metadata.labels": {"tier": "gold"}})
    selecting = changed(DEPLOYMENT, {"spec.adapterSelector": {"matchLabels": {"tier": "gold"}}}, ("spec.adapters",))
    lab.apply(selecting)
    lab.apply(chosen)
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    lab.cluster.call(lambda: lab.client.create("namespaces", other))
    lab.apply(changed(chosen, {"metadata.name": "elsewhere", "metadata.namespace": "other"}))
    train(lab, BOT, "a")
    pod = lab.pod_of(SUPPORT)
    lab.until(lambda: wanted_digest(lab, pod, BOT) == digest("a"))
    assert [one["name"] for one in lab.status("AdapterDeployment", SUPPORT)["adapters"]] == [BOT]
