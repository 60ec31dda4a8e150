from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.builtin.cron import CronError, check_schedule
from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import (
    UID,
    change_refusal,
    created,
    job,
    manifest,
    refusal,
    template,
    updated,
)

pytestmark = pytest.mark.unit

GENERATED = {
    "controller-uid": UID,
    "job-name": "a",
    "batch.kubernetes.io/controller-uid": UID,
    "batch.kubernetes.io/job-name": "a",
}
NEVER: Object = template(restartPolicy="Never")


def _suspended(**status: Any) -> Object:
    found = created(job(suspend=True))
    found["status"] = status
    return found


def _pod_spec(obj: Object) -> Object:
    found: Object = obj["spec"]["template"]["spec"]
    return found


# --- defaults -----------------------------------------------------------------------------------------------------


def test_what_every_job_gets() -> None:
    found = created({**job(), "status": {"active": 5}})
    assert found["metadata"]["generation"] == 1
    assert found["metadata"]["labels"] == {"app": "a", **GENERATED}
    assert found["spec"]["template"]["metadata"]["labels"] == {"app": "a", **GENERATED}
    assert found["metadata"]["labels"] is not found["spec"]["template"]["metadata"]["labels"]
    assert {name: value for name, value in found["spec"].items() if name != "template"} == {
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "completions": 1,
        "manualSelector": False,
        "parallelism": 1,
        "podReplacementPolicy": "TerminatingOrFailed",
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": UID}},
        "suspend": False,
    }
    assert found["status"] == {}


def test_labels_of_its_own_stay_as_they_are() -> None:
    labelled = job()
    labelled["metadata"]["labels"] = {"mine": "yes"}
    assert created(labelled)["metadata"]["labels"] == {"mine": "yes"}
    bare = job(template={"spec": NEVER["spec"]})
    found = created(bare)
    assert "labels" not in found["metadata"]
    assert found["spec"]["template"]["metadata"]["labels"] == GENERATED


def test_numbers_that_hang_together() -> None:
    spec = created(job(parallelism=2))["spec"]
    assert ("completions" in spec, spec["parallelism"]) == (False, 2)
    spec = created(job(completions=2))["spec"]
    assert (spec["completions"], spec["parallelism"]) == (2, 1)
    spec = created(job(completions=2, completionMode="Indexed", backoffLimitPerIndex=1))["spec"]
    assert spec["backoffLimit"] == 2**31 - 1


def test_a_failure_policy_waits_for_the_pod_to_fail() -> None:
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    spec = created(job(podFailurePolicy=policy))["spec"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_a_selector_by_hand() -> None:
    found = created(job(manualSelector=True, selector={"matchLabels": {"app": "a"}}))
    assert found["spec"]["template"]["metadata"]["labels"] == {"app": "a"}
    assert refusal(job(manualSelector=True)) == [
        ("spec.selector", "Required"),
        ("spec.template.metadata.labels", "Invalid"),
    ]
    assert refusal(job(manualSelector=True, selector={"matchLabels": {"app": "b"}})) == [
        ("spec.template.metadata.labels", "Invalid")
    ]


def test_a_selector_that_can_not_be_read() -> None:
    assert refusal(job(selector={"matchLabels": {"-": "x"}})) == [("spec.selector.matchLabels", "Invalid")]


def test_generated_labels_can_not_be_others() -> None:
    own = {"metadata": {"labels": {"job-name": "other"}}, "spec": NEVER["spec"]}
    assert refusal(job(template=own)) == [("spec.template.metadata.labels[job-name]", "Invalid")]
    wrong = {"matchLabels": {"batch.kubernetes.io/controller-uid": "other"}}
    assert refusal(job(selector=wrong)) == [
        ("spec.selector", "Invalid"),
        ("spec.template.metadata.labels", "Invalid"),
    ]


# --- validation -----------------------------------------------------------------------------------------------------


def _rule(**fields: Any) -> Object:
    return {"podFailurePolicy": {"rules": [fields]}}


RULE = "spec.podFailurePolicy.rules[0]"
INDEXED = {"completionMode": "Indexed", "completions": 3}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"parallelism": -1}, [("spec.parallelism", "Invalid")]),
        ({"backoffLimit": -1}, [("spec.backoffLimit", "Invalid")]),
        ({"ttlSecondsAfterFinished": -1}, [("spec.ttlSecondsAfterFinished", "Invalid")]),
        ({"template": template()}, [("spec.template.spec.restartPolicy", "Required")]),
        (
            {"template": template(restartPolicy="x")},
            [("spec.template.spec.restartPolicy", "NotSupported")] * 2,
        ),
        ({"template": template(restartPolicy="OnFailure")}, []),
        (
            {
                "template": template(restartPolicy="OnFailure"),
                **_rule(action="FailJob", onExitCodes={"operator": "In", "values": [1]}),
            },
            [("spec.template.spec.restartPolicy", "Invalid")],
        ),
        ({"completionMode": "x"}, [("spec.completionMode", "NotSupported")]),
        ({"completionMode": "Indexed", "parallelism": 1}, [("spec.completions", "Required")]),
        ({**INDEXED, "parallelism": 100_001}, [("spec.parallelism", "Invalid")]),
        ({**INDEXED, "maxFailedIndexes": 1}, [("spec.backoffLimitPerIndex", "Required")]),
        (
            {**INDEXED, "maxFailedIndexes": 4, "backoffLimitPerIndex": 0},
            [("spec.maxFailedIndexes", "Invalid")],
        ),
        ({"backoffLimitPerIndex": 1}, [("spec.backoffLimitPerIndex", "Invalid")]),
        ({"podReplacementPolicy": "x"}, [("spec.podReplacementPolicy", "NotSupported")]),
        (
            {
                "podReplacementPolicy": "TerminatingOrFailed",
                **_rule(action="FailJob", onExitCodes={"operator": "In", "values": [1]}),
            },
            [("spec.podReplacementPolicy", "NotSupported")],
        ),
        ({"managedBy": "example.test/queue"}, []),
        ({"managedBy": "queue"}, [("spec.managedBy", "Invalid")]),
        ({"managedBy": f"example.test/{'q' * 60}"}, [("spec.managedBy", "TooLong")]),
        (_rule(action="FailJob"), [(RULE, "Invalid")]),
        (_rule(onExitCodes={"operator": "In", "values": [1]}), [(f"{RULE}.action", "Required")]),
        (
            _rule(action="x", onExitCodes={"operator": "x", "values": []}),
            [
                (f"{RULE}.action", "NotSupported"),
                (f"{RULE}.onExitCodes.operator", "NotSupported"),
                (f"{RULE}.onExitCodes.values", "Invalid"),
            ],
        ),
        (
            _rule(action="FailIndex", onExitCodes={"operator": "In", "values": [1]}),
            [(f"{RULE}.action", "Invalid")],
        ),
        (
            _rule(action="Count", onExitCodes={"operator": "In", "values": [0, 3, 2, 3], "containerName": "other"}),
            [
                (f"{RULE}.onExitCodes.containerName", "Invalid"),
                (f"{RULE}.onExitCodes.values", "Invalid"),
                (f"{RULE}.onExitCodes.values[0]", "Invalid"),
                (f"{RULE}.onExitCodes.values[3]", "Duplicate"),
            ],
        ),
        (
            _rule(action="Count", onExitCodes={"operator": "NotIn", "values": list(range(256))}),
            [(f"{RULE}.onExitCodes.values", "TooMany")],
        ),
        (
            _rule(action="Ignore", onPodConditions=[{"type": "/", "status": "x"}]),
            [(f"{RULE}.onPodConditions[0].status", "NotSupported")]
            + [(f"{RULE}.onPodConditions[0].type", "Invalid")] * 3,
        ),
        (
            _rule(action="Ignore", onPodConditions=[{"type": "a"}] * 21),
            [(f"{RULE}.onPodConditions", "TooMany")],
        ),
        (
            _rule(
                action="Ignore",
                onPodConditions=[{"type": "a"}],
                onExitCodes={"operator": "In", "values": [1]},
            ),
            [(RULE, "Invalid")],
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "a"}]}] * 21}},
            [("spec.podFailurePolicy.rules", "TooMany")],
        ),
        ({"successPolicy": {"rules": []}}, [("spec.successPolicy", "Invalid")]),
        ({**INDEXED, "successPolicy": {}}, [("spec.successPolicy.rules", "Required")]),
        ({**INDEXED, "successPolicy": {"rules": [{}]}}, [("spec.successPolicy.rules[0]", "Required")]),
        (
            {**INDEXED, "successPolicy": {"rules": [{"succeededCount": 1}] * 21}},
            [("spec.successPolicy.rules", "TooMany")],
        ),
        (
            {**INDEXED, "successPolicy": {"rules": [{"succeededIndexes": "0-1", "succeededCount": 3}]}},
            [("spec.successPolicy.rules[0].succeededCount", "Invalid")],
        ),
        ({**INDEXED, "successPolicy": {"rules": [{"succeededIndexes": "0,2"}, {"succeededCount": 3}]}}, []),
        (
            {**INDEXED, "successPolicy": {"rules": [{"succeededIndexes": "0" * (64 * 1024 + 1)}]}},
            [
                ("spec.successPolicy.rules[0].succeededIndexes", "Invalid"),
                ("spec.successPolicy.rules[0].succeededIndexes", "TooLong"),
            ],
        ),
    ],
)
def test_what_is_wrong_with_a_job(spec: Object, expected: Any) -> None:
    assert refusal(job(**spec)) == expected


@pytest.mark.parametrize("indexes", ["x", "1,0", "1-1", "0-3", "1,1", "0-1,1"])
def test_what_is_wrong_with_indexes(indexes: str) -> None:
    policy = {"rules": [{"succeededIndexes": indexes}]}
    expected = [("spec.successPolicy.rules[0].succeededIndexes", "Invalid")]
    assert refusal(job(**INDEXED, successPolicy=policy)) == expected


def test_the_name_of_an_indexed_job_names_its_pods() -> None:
    long = job(**INDEXED)
    long["metadata"]["name"] = "a" * 62
    assert ("metadata.name", "Invalid") in refusal(long)


# --- updates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"parallelism": 3},
        {"suspend": True},
        {"backoffLimit": 2},
        {"activeDeadlineSeconds": 9},
        {"ttlSecondsAfterFinished": 9},
    ],
)
def test_what_may_change(change: Object) -> None:
    found = updated(created(job()), lambda one: one["spec"].update(change))
    assert found["spec"].items() >= change.items()
    assert found["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: _pod_spec(one)["containers"][0].update(image="x"), [("spec.template", "Invalid")]),
        (lambda one: _pod_spec(one).update(nodeSelector={"a": "b"}), [("spec.template", "Invalid")]),
        (lambda one: one["spec"].update(completions=2), [("spec.completions", "Invalid")]),
        (lambda one: one["spec"].update(completionMode="Indexed"), [("spec.completionMode", "Invalid")]),
        (lambda one: one["spec"].update(managedBy="example.test/q"), [("spec.managedBy", "Invalid")]),
        # Kubernetes checks the spec of a job twice on an update.
        (lambda one: one["spec"].update(backoffLimit=-1), [("spec.backoffLimit", "Invalid")] * 2),
        (lambda one: one["metadata"].update(labels={"a": "-"}), [("metadata.labels", "Invalid")] * 3),
    ],
)
def test_what_may_not_change(change: Any, expected: Any) -> None:
    assert change_refusal(created(job()), change) == expected


def test_a_selector_can_not_be_left_out() -> None:
    found = change_refusal(created(job()), lambda one: one["spec"].pop("selector"))
    twice = [("spec.selector", "Required")] * 2 + [("spec.template.metadata.labels", "Invalid")] * 2
    assert found == [("spec.selector", "Invalid"), *twice]


def test_generated_labels_can_not_be_left_out() -> None:
    def change(one: Object) -> None:
        del one["spec"]["template"]["metadata"]["labels"]["job-name"]

    label = ("spec.template.metadata.labels[job-name]", "Required")
    assert change_refusal(created(job()), change) == [("spec.template", "Invalid"), label, label]


def test_an_indexed_job_grows_with_its_parallelism() -> None:
    old = created(job(completionMode="Indexed", completions=2, parallelism=2))
    assert change_refusal(old, lambda one: one["spec"].update(completions=3, parallelism=3)) == []
    assert change_refusal(old, lambda one: one["spec"].update(completions=3)) == [("spec.completions", "Invalid")]


def _place(obj: Object) -> None:
    terms = [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
    _pod_spec(obj).update(
        nodeSelector={"gpu": "a100"},
        tolerations=[{"key": "x", "operator": "Exists"}],
        schedulingGates=[{"name": "example.test/wait"}],
        affinity={
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}},
        },
    )
    _pod_spec(obj)["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    obj["spec"]["template"]["metadata"]["labels"]["queue"] = "q"
    obj["spec"]["template"]["metadata"]["annotations"] = {"a": "b"}


def test_a_suspended_job_may_be_placed_and_sized() -> None:
    found = updated(_suspended(), _place)
    assert _pod_spec(found)["nodeSelector"] == {"gpu": "a100"}
    back = updated(found, lambda one: _pod_spec(one).pop("affinity"))
    assert "affinity" not in _pod_spec(back)
    bare = updated(found, lambda one: _pod_spec(one).update(affinity={}))
    assert _pod_spec(bare)["affinity"] == {}


def test_a_suspended_job_keeps_the_rest_of_its_template() -> None:
    expected = [("spec.template", "Invalid")]
    assert change_refusal(_suspended(), lambda one: _pod_spec(one)["containers"][0].update(image="x")) == expected
    assert change_refusal(_suspended(), lambda one: _pod_spec(one).update(affinity={"podAffinity": {}})) == expected
    assert change_refusal(_suspended(active=1), _place) == expected


# --- status ---------------------------------------------------------------------------------------------------------


def test_a_status_update() -> None:
    def change(one: Object) -> None:
        one["spec"]["backoffLimit"] = 1
        one["metadata"]["labels"] = {"a": "b"}
        one["status"] = {"active": 1, "nope": 2, "conditions": [{"type": "Suspended", "status": "True"}]}

    found = updated(created(job()), change, "status")
    assert found["spec"]["backoffLimit"] == 6
    assert found["metadata"]["labels"] == {"a": "b"}
    assert found["metadata"]["generation"] == 1
    assert found["status"]["active"] == 1
    assert found["status"]["conditions"] == [
        {"type": "Suspended", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}
    ]
    assert change_refusal(created(job()), lambda one: one["status"].update(failed=-1), "status") == [
        ("status.failed", "Invalid"),
        ("status.failed", "Invalid"),
    ]


# --- CronJobs -------------------------------------------------------------------------------------------------------


def _cron_job(**spec: Any) -> Object:
    found = {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": NEVER}}, **spec}
    return manifest("batch/v1", "CronJob", spec=found)


def test_what_every_cron_job_gets() -> None:
    spec = created(_cron_job())["spec"]
    assert {name: value for name, value in spec.items() if name != "jobTemplate"} == {
        "concurrencyPolicy": "Allow",
        "failedJobsHistoryLimit": 1,
        "schedule": "0 0 * * *",
        "successfulJobsHistoryLimit": 3,
        "suspend": False,
    }
    assert spec["jobTemplate"]["metadata"] == {}
    assert spec["jobTemplate"]["spec"].keys() == {"template"}
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"schedule": ""}, [("spec.schedule", "Required")]),
        ({"schedule": "daily"}, [("spec.schedule", "Invalid")]),
        ({"timeZone": "Mars"}, [("spec.timeZone", "Invalid")]),
        ({"timeZone": "Local"}, [("spec.timeZone", "Invalid")]),
        ({"timeZone": ""}, [("spec.timeZone", "Invalid")]),
        ({"timeZone": "UTC"}, []),
        ({"concurrencyPolicy": "x"}, [("spec.concurrencyPolicy", "NotSupported")]),
        ({"startingDeadlineSeconds": -1}, [("spec.startingDeadlineSeconds", "Invalid")]),
        (
            {"jobTemplate": {"spec": {"template": NEVER, "selector": {}, "manualSelector": True}}},
            [
                ("spec.jobTemplate.spec.manualSelector", "NotSupported"),
                ("spec.jobTemplate.spec.selector", "Invalid"),
            ],
        ),
        (
            {"jobTemplate": {"spec": {"template": template()}}},
            [("spec.jobTemplate.spec.template.spec.restartPolicy", "Required")],
        ),
    ],
)
def test_what_is_wrong_with_a_cron_job(spec: Object, expected: Any) -> None:
    assert refusal(_cron_job(**spec)) == expected


def test_the_name_of_a_cron_job_leaves_room_for_its_jobs() -> None:
    long = _cron_job()
    long["metadata"]["name"] = "a" * 53
    assert refusal(long) == [("metadata.name", "Invalid")]


@pytest.mark.parametrize(
    "text",
    ["* * * * *", "*/5 0-23/2 1,15 jan-mar MON", "0 0 ? * 6", "@daily", "@every 1h30m"],
)
def test_schedules(text: str) -> None:
    check_schedule(text)


@pytest.mark.parametrize(
    "text",
    [
        "* * * *",
        "60 * * * *",
        "* * 0 * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "x * * * *",
        "* * * * 7",
        "@sometimes",
        "@every soon",
        "TZ=UTC * * * * *",
    ],
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(CronError):
        check_schedule(text)
