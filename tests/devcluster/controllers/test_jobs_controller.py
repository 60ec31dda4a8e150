"""The Job controller on the server: what becomes of jobs, pods and events."""

import datetime as dt

import pytest

from adapter_devcluster.controllers.garbage import GarbageCollector
from adapter_devcluster.controllers.jobs import JobController, TtlController
from adapter_devcluster.controllers.jobs.ttl import seconds_left
from adapter_devcluster.controllers.pod_gc import PodGarbageCollector
from adapter_devcluster.objects import copy, parse_time
from adapter_testing.controller_lab import NAMESPACE, at_rest, eventually, play

pytestmark = pytest.mark.integration

TRACKING = "batch.kubernetes.io/job-tracking"


def job(name="train", **spec):
    restart = spec.pop("restart", "Never")
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"restartPolicy": restart, "containers": [{"name": "main", "image": "example.test/app:1"}]},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"template": template, **spec},
    }


def slow(client):
    return JobController(client)


def fast(client):
    return JobController(client, base_delay=0.0)


def conditions(lab, name="train"):
    found = lab.get("jobs.batch", name)["status"].get("conditions", [])
    return [(one["type"], one["status"], one["reason"]) for one in found]


def status(lab, name="train"):
    return lab.get("jobs.batch", name)["status"]


async def new_pod(lab, number=1):
    """Wait for so many pods that nothing has happened to, and return the names."""

    def pending():
        return [pod["metadata"]["name"] for pod in lab.pods() if pod["status"]["phase"] == "Pending"]

    await eventually(lambda: len(pending()) == number)
    return pending()


def test_a_job_runs_its_pod_to_completion():
    async def scene(lab):
        created = lab.client.create("jobs.batch", job())
        [name] = await new_pod(lab)
        pod = lab.get("pods", name)
        assert name.startswith("train-")
        assert len(name) == len("train-") + 5
        assert pod["metadata"]["generateName"] == "train-"
        assert pod["metadata"]["finalizers"] == [TRACKING]
        assert pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] == created["metadata"]["uid"]
        lab.run(name)
        await eventually(lambda: status(lab).get("ready") == 1)
        assert status(lab)["active"] == 1
        lab.finish(name)
        await eventually(lambda: len(conditions(lab)) == 2)
        assert conditions(lab) == [
            ("SuccessCriteriaMet", "True", "CompletionsReached"),
            ("Complete", "True", "CompletionsReached"),
        ]
        await at_rest(lab)
        found = status(lab)
        assert {key: found[key] for key in found if key not in ("startTime", "completionTime", "conditions")} == {
            "ready": 0,
            "succeeded": 1,
            "terminating": 0,
            "uncountedTerminatedPods": {},
        }
        assert "finalizers" not in lab.get("pods", name)["metadata"]
        assert lab.events() == [("Normal", "SuccessfulCreate"), ("Normal", "Completed")]
        messages = [event["message"] for event in lab.client.list("events", NAMESPACE)]
        assert sorted(messages) == [f"Created pod: {name}", "Job completed"]

    play(slow)(scene)


def test_writes_stop_when_there_is_nothing_to_do():
    async def scene(lab):
        lab.client.create("jobs.batch", job())
        await new_pod(lab)
        await at_rest(lab)
        revision = lab.api.store.revision
        lab.client.patch("jobs.batch", NAMESPACE, "train", {"metadata": {"labels": {"touched": "yes"}}})
        await at_rest(lab)
        assert lab.api.store.revision == revision + 1

    play(slow)(scene)


def test_failures_are_tried_again_up_to_the_limit():
    async def scene(lab):
        lab.client.create("jobs.batch", job(backoffLimit=2))
        for _ in range(3):
            [name] = await new_pod(lab)
            lab.finish(name, 1)
        await eventually(lambda: len(conditions(lab)) == 2)
        await at_rest(lab)
        assert conditions(lab) == [
            ("FailureTarget", "True", "BackoffLimitExceeded"),
            ("Failed", "True", "BackoffLimitExceeded"),
        ]
        assert status(lab)["failed"] == 3
        assert len(lab.pods()) == 3
        assert lab.events()[-1] == ("Warning", "BackoffLimitExceeded")

    play(fast)(scene)


def test_a_replacement_waits_for_the_backoff():
    async def scene(lab):
        lab.client.create("jobs.batch", job())
        [name] = await new_pod(lab)
        lab.finish(name, 1)
        await eventually(lambda: status(lab).get("failed") == 1)
        # The end of the pod is known in whole seconds, so between 1.2 and 2.2 seconds are left.
        assert len(lab.pods()) == 1
        await new_pod(lab)

    play(lambda client: JobController(client, base_delay=2.2))(scene)


def test_a_failed_job_is_failed_only_when_its_pods_have_ended():
    async def scene(lab):
        lab.client.create("jobs.batch", job(parallelism=2, completions=2, backoffLimit=0))
        first, second = await new_pod(lab, 2)
        lab.bind(second)
        lab.run(second)
        lab.finish(first, 1)
        await eventually(lambda: conditions(lab))
        await at_rest(lab)
        assert conditions(lab) == [("FailureTarget", "True", "BackoffLimitExceeded")]
        assert status(lab)["terminating"] == 1
        assert "deletionTimestamp" in lab.get("pods", second)["metadata"]
        lab.finish(second, 143)
        await eventually(lambda: len(conditions(lab)) == 2)
        assert status(lab)["failed"] == 2
        assert lab.get("pods", second) is None
        assert ("Normal", "SuccessfulDelete") in lab.events()

    play(slow)(scene)


def test_a_deadline_ends_a_job():
    async def scene(lab):
        lab.client.create("jobs.batch", job(activeDeadlineSeconds=1))
        [name] = await new_pod(lab)
        lab.run(name)
        await eventually(lambda: len(conditions(lab)) == 2)
        started = parse_time(status(lab)["startTime"])
        assert dt.datetime.now(dt.UTC) - started >= dt.timedelta(seconds=1)
        assert {found[2] for found in conditions(lab)} == {"DeadlineExceeded"}
        assert lab.pods(deleted=True) == []
        assert status(lab)["failed"] == 1

    play(slow)(scene)


def test_a_job_is_suspended_and_resumed():
    async def scene(lab):
        lab.client.create("jobs.batch", job())
        [name] = await new_pod(lab)
        lab.bind(name)
        lab.run(name)
        await eventually(lambda: status(lab).get("ready") == 1)
        lab.client.patch("jobs.batch", NAMESPACE, "train", {"spec": {"suspend": True}})
        await eventually(lambda: conditions(lab) == [("Suspended", "True", "JobSuspended")])
        assert "startTime" not in status(lab)
        assert "active" not in status(lab)
        lab.finish(name, 143)
        await at_rest(lab)
        assert status(lab)["terminating"] == 0
        assert "failed" not in status(lab)
        lab.client.patch("jobs.batch", NAMESPACE, "train", {"spec": {"suspend": False}})
        await new_pod(lab)
        await eventually(lambda: conditions(lab) == [("Suspended", "False", "JobResumed")])
        assert "startTime" in status(lab)
        await at_rest(lab)
        assert lab.events() == [
            ("Normal", "SuccessfulCreate"),
            ("Normal", "SuccessfulDelete"),
            ("Normal", "Suspended"),
            ("Normal", "SuccessfulCreate"),
            ("Normal", "Resumed"),
        ]

    play(slow)(scene)


def test_indexed_jobs_are_accepted_by_the_server():
    async def scene(lab):
        spec = {"completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimitPerIndex": 0}
        lab.client.create("jobs.batch", job(**spec))
        first, second = await new_pod(lab, 2)
        assert (first[: len("train-0-")], second[: len("train-1-")]) == ("train-0-", "train-1-")
        assert lab.get("pods", second)["spec"]["hostname"] == "train-1"
        lab.finish(first)
        lab.finish(second, 1)
        await eventually(lambda: len(conditions(lab)) == 2)
        assert conditions(lab)[1] == ("Failed", "True", "FailedIndexes")
        assert (status(lab)["completedIndexes"], status(lab)["failedIndexes"]) == ("0", "1")

    play(slow)(scene)


def test_pods_of_a_deleted_job_lose_the_finalizer():
    async def scene(lab):
        lab.client.create("jobs.batch", job())
        [name] = await new_pod(lab)
        lab.client.delete("jobs.batch", NAMESPACE, "train", propagation="Background")
        await eventually(lambda: "finalizers" not in lab.get("pods", name)["metadata"])

    play(slow)(scene)


@pytest.mark.parametrize("policy", ["Background", "Foreground", None])
def test_the_pods_of_a_deleted_job_go_or_stay_as_asked(policy):
    async def scene(lab):
        lab.client.create("jobs.batch", job())
        [name] = await new_pod(lab)
        lab.bind(name)
        lab.run(name)
        await eventually(lambda: status(lab).get("ready") == 1)
        lab.client.delete("jobs.batch", NAMESPACE, "train", propagation=policy)
        await at_rest(lab)
        pod = lab.get("pods", name)["metadata"]
        assert "finalizers" not in pod
        assert ("deletionTimestamp" in pod) == (policy is not None)
        assert ("ownerReferences" in pod) == (policy is not None)
        assert (lab.get("jobs.batch", "train") is not None) == (policy == "Foreground")
        lab.finish(name, 143)
        await eventually(lambda: lab.get("jobs.batch", "train") is None)
        assert (lab.get("pods", name) is None) == (policy is not None)

    play(slow, GarbageCollector)(scene)


def test_pods_of_a_finished_job_lose_the_finalizer():
    async def scene(lab):
        lab.client.create("jobs.batch", job())
        [name] = await new_pod(lab)
        finished = copy(lab.get("jobs.batch", "train"))
        kinds = ("FailureTarget", "Failed")
        finished["status"] |= {"conditions": [{"type": kind, "status": "True", "reason": "Test"} for kind in kinds]}
        finished["status"].pop("active")
        lab.client.update("jobs.batch", finished, "status")
        await eventually(lambda: "finalizers" not in lab.get("pods", name)["metadata"])

    play(slow)(scene)


def test_a_pod_whose_job_never_was_loses_the_finalizer_and_one_of_another_owner_keeps_it():
    async def scene(lab):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": NAMESPACE, "finalizers": [TRACKING]},
            "spec": {"containers": [{"name": "main", "image": "example.test/app:1"}]},
        }

        def owned(name, kind, version):
            owner = {"apiVersion": version, "kind": kind, "name": "never", "uid": "1", "controller": True}
            return {**pod, "metadata": {**pod["metadata"], "name": name, "ownerReferences": [owner]}}

        lab.client.create("pods", owned("lost", "Job", "batch/v1"))
        lab.client.create("pods", owned("other", "ReplicaSet", "apps/v1"))
        lab.client.create("pods", {**pod, "metadata": {**pod["metadata"], "name": "free"}})
        await eventually(lambda: "finalizers" not in lab.get("pods", "lost")["metadata"])
        await eventually(lambda: "finalizers" not in lab.get("pods", "free")["metadata"])
        await at_rest(lab)
        assert lab.get("pods", "other")["metadata"]["finalizers"] == [TRACKING]

    play(slow)(scene)


def test_pods_are_let_go_and_taken_over_by_their_labels():
    async def scene(lab):
        selector = {"manualSelector": True, "selector": {"matchLabels": {"app": "train"}}}
        lab.client.create("jobs.batch", job(**selector))
        [name] = await new_pod(lab)
        lab.client.patch("pods", NAMESPACE, name, {"metadata": {"labels": {"app": "other"}}})
        await eventually(lambda: "ownerReferences" not in lab.get("pods", name)["metadata"])
        assert "finalizers" not in lab.get("pods", name)["metadata"]
        other = await eventually(lambda: next((p for p in lab.pods() if p["metadata"]["name"] != name), None))
        lab.client.delete("pods", NAMESPACE, other["metadata"]["name"])
        lab.client.patch("pods", NAMESPACE, name, {"metadata": {"labels": {"app": "train"}}})
        await eventually(lambda: "ownerReferences" in lab.get("pods", name)["metadata"])
        adopted = lab.get("pods", name)["metadata"]
        assert adopted["ownerReferences"][0]["uid"] == lab.get("jobs.batch", "train")["metadata"]["uid"]
        assert adopted["finalizers"] == [TRACKING]

    play(slow)(scene)


def test_jobs_of_another_manager_are_left_alone():
    async def scene(lab):
        lab.client.create("jobs.batch", job("mine"))
        lab.client.create("jobs.batch", job("theirs", managedBy="example.test/manager"))
        [name] = await new_pod(lab)
        await at_rest(lab)
        assert name.startswith("mine-")
        assert status(lab, "theirs") == {}
        taken = copy(lab.get("pods", name)["metadata"]["ownerReferences"])
        taken[0] |= {"name": "theirs", "uid": lab.get("jobs.batch", "theirs")["metadata"]["uid"]}
        lab.client.patch("pods", NAMESPACE, name, {"metadata": {"ownerReferences": taken}})
        await at_rest(lab)
        assert lab.get("pods", name)["metadata"]["finalizers"] == [TRACKING]

    play(slow)(scene)


def test_a_job_of_the_same_name_starts_anew():
    async def scene(lab):
        lab.client.create("jobs.batch", job())
        [name] = await new_pod(lab)
        lab.finish(name, 1)
        await eventually(lambda: status(lab).get("failed") == 1)
        lab.client.delete("jobs.batch", NAMESPACE, "train", propagation="Background")
        lab.client.create("jobs.batch", job())
        await new_pod(lab)
        assert "failed" not in status(lab)

    play(slow)(scene)


def test_a_refused_pod_is_reported_and_tried_again():
    async def scene(lab):
        lab.deny("pods", "CREATE", "DELETE")
        lab.client.create("jobs.batch", job(parallelism=2, completions=2))
        await eventually(lambda: ("Warning", "FailedCreate") in lab.events())
        events = lab.client.list("events", NAMESPACE)
        assert {event["reason"] for event in events} == {"FailedCreate"}
        assert events[0]["message"].startswith("Error creating: pods ")
        assert events[0]["message"].endswith("not today")
        assert "active" not in status(lab)
        assert "startTime" in status(lab)
        lab.allow()
        await new_pod(lab, 2)
        await eventually(lambda: status(lab).get("active") == 2)
        lab.deny("pods", "DELETE")
        lab.client.patch("jobs.batch", NAMESPACE, "train", {"spec": {"suspend": True}})
        await eventually(lambda: ("Warning", "FailedDelete") in lab.events())
        assert status(lab)["active"] == 2
        lab.allow()
        await eventually(lambda: lab.pods(deleted=True) == [])

    play(slow)(scene)


def test_nothing_is_reported_from_a_namespace_that_is_being_deleted():
    async def scene(lab):
        lab.client.create("jobs.batch", job(suspend=True))
        await eventually(lambda: conditions(lab))
        lab.client.delete("namespaces", "", NAMESPACE)
        lab.client.patch("jobs.batch", NAMESPACE, "train", {"spec": {"suspend": False}})
        await eventually(lambda: conditions(lab)[0][1] == "False")
        await at_rest(lab)
        assert lab.pods() == []
        assert "active" not in status(lab)

    play(slow)(scene)


def test_a_pod_that_was_deleted_before_it_had_a_node_is_replaced_even_where_its_end_is_awaited():
    async def scene(lab):
        lab.client.create("jobs.batch", job(podReplacementPolicy="Failed"))
        [name] = await new_pod(lab)
        lab.client.delete("pods", NAMESPACE, name)
        await eventually(lambda: status(lab).get("failed") == 1)
        await eventually(lambda: lab.get("pods", name) is None)
        await new_pod(lab)

    play(fast, lambda client: PodGarbageCollector(client, delay=0.0))(scene)


def test_a_pod_that_has_a_node_is_left_to_it():
    async def scene(lab):
        lab.client.create("jobs.batch", job(podReplacementPolicy="Failed"))
        [name] = await new_pod(lab)
        lab.bind(name)
        lab.client.delete("pods", NAMESPACE, name)
        await at_rest(lab)
        assert lab.get("pods", name)["status"]["phase"] == "Pending"

    play(fast, lambda client: PodGarbageCollector(client, delay=0.0))(scene)


def test_the_collector_of_pods_takes_its_time():
    async def scene(lab):
        lab.client.create("jobs.batch", job(podReplacementPolicy="Failed"))
        [name] = await new_pod(lab)
        lab.client.delete("pods", NAMESPACE, name)
        await at_rest(lab)
        assert lab.get("pods", name)["status"]["phase"] == "Pending"
        await eventually(lambda: lab.get("pods", name) is None)

    play(fast, lambda client: PodGarbageCollector(client, delay=1.2))(scene)


def test_a_finished_job_goes_after_its_time_to_live():
    async def scene(lab):
        lab.client.create("jobs.batch", job("now", ttlSecondsAfterFinished=0))
        lab.client.create("jobs.batch", job("soon", ttlSecondsAfterFinished=1))
        lab.client.create("jobs.batch", job("kept"))
        for name in await new_pod(lab, 3):
            lab.finish(name)
        await eventually(lambda: lab.get("jobs.batch", "now") is None)
        finished = await eventually(lambda: status(lab, "soon").get("completionTime"))
        await eventually(lambda: lab.get("jobs.batch", "soon") is None)
        assert dt.datetime.now(dt.UTC) >= parse_time(finished) + dt.timedelta(seconds=2)
        assert conditions(lab, "kept")[-1][0] == "Complete"

    play(slow, TtlController)(scene)


@pytest.mark.parametrize(
    ("ttl", "kind", "metadata", "left"),
    [
        (None, "Complete", {}, None),
        (30, "Suspended", {}, None),
        (30, "Complete", {"deletionTimestamp": "2026-05-04T12:00:05Z"}, None),
        (30, "Complete", {}, 21),
        (30, "Failed", {}, 21),
        (0, "Failed", {}, -10),
    ],
)
def test_how_long_a_job_stays(ttl, kind, metadata, left):
    found = {
        "metadata": metadata,
        "spec": {} if ttl is None else {"ttlSecondsAfterFinished": ttl},
        "status": {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2026-05-04T12:00:00Z"}]},
    }
    assert seconds_left(found, parse_time("2026-05-04T12:00:10Z")) == left
