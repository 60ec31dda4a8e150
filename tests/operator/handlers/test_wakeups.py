"""Who is woken by which change."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_operator.handlers.kinds import index_words
from adapter_operator.handlers.pod_targets import stream_target
from adapter_operator.handlers.wakeups import Wakeups, referred_trainings
from adapter_operator.runtime.objects import Key
from adapter_operator.runtime.pod_streams import StreamTarget
from adapter_operator.runtime.store import Change

pytestmark = pytest.mark.unit

BOT = Key("AdapterTraining", "lab", "bot")
SUPPORT = Key("AdapterDeployment", "lab", "support")


def training(name: str = "bot", namespace: str = "lab", **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", **parts.pop("metadata", {})}
    return {"kind": "AdapterTraining", "metadata": metadata, "spec": {}, **parts}


def deployment(name: str = "support", namespace: str = "lab", **spec: Any) -> dict[str, Any]:
    return {"kind": "AdapterDeployment", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def follows(*trainings: dict[str, str]) -> list[dict[str, Any]]:
    return [{"name": one["name"], "source": {"training": one}} for one in trainings]


def child(kind: str, **labels: str) -> dict[str, Any]:
    prefixed = {f"adapters.dev/{key}": value for key, value in labels.items()}
    return {"kind": kind, "metadata": {"name": "child", "namespace": "lab", "labels": prefixed}}


def seen(obj: dict[str, Any]) -> Change:
    return Change(None, obj)


def test_a_child_wakes_whom_its_labels_name() -> None:
    wakeups = Wakeups()
    assert wakeups.keys(seen(child("Pod", training="bot"))) == {BOT}
    assert wakeups.keys(Change(child("Pod", deployment="support"), None)) == {SUPPORT}
    assert wakeups.keys(seen(child("Pod"))) == set()
    assert wakeups.keys(seen({"kind": "Pod", "metadata": {"name": "bare"}})) == set()


def test_a_training_wakes_who_follows_it_and_who_starts_from_it() -> None:
    wakeups = Wakeups()
    wakeups.keys(seen(deployment(adapters=follows({"name": "bot"}))))
    wakeups.keys(seen(deployment("elsewhere", "team", adapters=follows({"name": "bot", "namespace": "lab"}))))
    wakeups.keys(seen(deployment("other", adapters=follows({"name": "another"}))))
    wakeups.keys(seen(deployment("bytes", adapters=[{"name": "x", "source": {"s3": {"uri": "s3://a/b"}}}])))
    wakeups.keys(seen(training("next", spec={"initializeFrom": {"training": {"name": "bot"}}})))
    expected = {BOT, SUPPORT, Key("AdapterDeployment", "team", "elsewhere"), Key("AdapterTraining", "lab", "next")}
    assert wakeups.keys(seen(training())) == expected
    assert wakeups.keys(Change(training(), None)) == expected
    assert wakeups.keys(seen(child("ControllerRevision", training="bot"))) == expected


def test_progress_wakes_nobody_else() -> None:
    wakeups = Wakeups()
    wakeups.keys(seen(deployment(adapters=follows({"name": "bot"}))))
    before = training(status={"progress": {"step": 1}, "adapter": {"digest": "a"}})
    after = training(status={"progress": {"step": 2}, "adapter": {"digest": "a"}})
    assert wakeups.keys(Change(before, after)) == {BOT}
    for change in (
        {"status": {"adapter": {"digest": "b"}}},
        {"status": {"adapter": {"digest": "a"}, "conditions": [{"type": "Ready", "reason": "Failed"}]}},
        {"status": {"adapter": {"digest": "a"}}, "spec": {"sharing": {"namespaces": ["team"]}}},
        {"status": {"adapter": {"digest": "a"}}, "metadata": {"labels": {"tier": "gold"}}},
        {"status": {"adapter": {"digest": "a"}}, "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"status": {"adapter": {"digest": "a"}}, "metadata": {"uid": "second"}},
    ):
        assert wakeups.keys(Change(before, training(**change))) == {BOT, SUPPORT}, change


def test_a_selector_is_woken_by_any_training_of_its_namespace() -> None:
    wakeups = Wakeups()
    selecting = deployment(adapterSelector={"matchLabels": {"tier": "gold"}})
    wakeups.keys(seen(selecting))
    assert wakeups.keys(seen(training())) == {BOT, SUPPORT}
    assert wakeups.keys(seen(training(namespace="team"))) == {Key("AdapterTraining", "team", "bot")}
    assert list(referred_trainings(selecting)) == []


def test_references_change_with_the_resource() -> None:
    wakeups = Wakeups()
    first = deployment(adapters=follows({"name": "bot"}, {"name": "stays"}))
    second = deployment(adapters=follows({"name": "stays"}))
    beside = deployment("beside", adapters=follows({"name": "bot"}))
    wakeups.keys(seen(first))
    wakeups.keys(seen(beside))
    assert wakeups.keys(Change(first, second)) == {SUPPORT}
    assert wakeups.keys(seen(training())) == {BOT, Key("AdapterDeployment", "lab", "beside")}
    wakeups.keys(Change(beside, None))
    assert wakeups.keys(seen(training())) == {BOT}
    assert wakeups.keys(seen(training("stays"))) == {Key("AdapterTraining", "lab", "stays"), SUPPORT}
    wakeups.keys(Change(second, None))
    assert wakeups.keys(seen(training("stays"))) == {Key("AdapterTraining", "lab", "stays")}
    assert (wakeups._references, wakeups._referrers) == ({}, {})


def test_words_of_the_index() -> None:
    found = child("Job", training="bot", deployment="support")
    found["metadata"]["ownerReferences"] = [{"uid": "one"}]
    assert list(index_words(found)) == ["one", "training/lab/bot", "deployment/lab/support"]


@pytest.mark.parametrize(("label", "path"), [("training", "/v1/progress"), ("deployment", "/v1/adapters")])
def test_running_pods_are_asked_by_what_runs_in_them(label: str, path: str) -> None:
    pod = child("Pod", **{label: "x"})
    pod["metadata"]["uid"] = "uid-pod"
    pod["status"] = {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "containerStatuses": [{"restartCount": 2}, {"restartCount": 0}],
    }
    assert stream_target(pod) == StreamTarget("uid-pod", "lab", "child", "10.0.0.7", 8081, path, "2/0")


def test_pods_that_do_not_run_or_are_none_of_ours_are_not_asked() -> None:
    running = {"phase": "Running", "podIP": "10.0.0.7"}
    ours, others = child("Pod", training="x"), child("Pod")
    assert stream_target({**others, "status": running}) is None
    for status in ({}, {"phase": "Running"}, {**running, "phase": "Succeeded"}, {**running, "phase": "Pending"}):
        assert stream_target({**ours, "status": status}) is None
