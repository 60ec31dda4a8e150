"""Reading Jobs, pods, revisions and parents of a training from raw objects."""

from datetime import UTC, datetime
from typing import Any

import pytest

from adapter_contract.exit_codes import ExitCode
from adapter_operator.api.v1alpha1 import names
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.observe.owners import controller_uid, is_controlled_by
from adapter_operator.observe.pods import condition_status, is_ready, read_time, waiting_for
from adapter_operator.observe.training import ObservedTraining, observe_training
from adapter_operator.observe.training_pods import PodEnd, observe_pod
from adapter_testing.training_lab import TrainingLab, digest_of, trainer_result, training_document

pytestmark = pytest.mark.unit

JSON = dict[str, Any]
END = "2030-01-31T13:00:00Z"


def pod(status: JSON, limits: JSON | None = None) -> JSON:
    return {
        "metadata": {"name": "p", "uid": "u"},
        "spec": {
            "containers": [
                {"name": "proxy", "resources": {"limits": {"acme.com/net": "1"}}},
                {"name": "trainer", "resources": {"limits": limits or {}}},
            ]
        },
        "status": status,
    }


def ended(code: int, message: str = "", **terminated: Any) -> JSON:
    state = {"terminated": {"exitCode": code, "finishedAt": END, "message": message, **terminated}}
    return {"phase": "Failed", "containerStatuses": [{"name": "trainer", "state": state}]}


def end_of(status: JSON) -> PodEnd:
    found = observe_pod(pod(status), None, ()).end
    assert found is not None
    return found


def test_a_running_pod() -> None:
    status = {
        "phase": "Running",
        "startTime": "2030-01-31T12:00:00Z",
        "containerStatuses": [{"name": "trainer", "state": {"running": {}}}],
    }
    found = observe_pod(pod(status, {"nvidia.com/gpu": "2", "memory": "1Gi"}), None, ())
    assert (found.running, found.gpus, found.end, found.waiting) == (True, 2, None, None)
    assert found.start_time == datetime(2030, 1, 31, 12, tzinfo=UTC)


def test_an_end_with_a_result() -> None:
    result = trainer_result(1, 2, digest_of("a"))
    found = end_of(ended(0, result.to_termination_message().decode(), reason="Completed"))
    assert found == PodEnd(exit_code=0, time=datetime(2030, 1, 31, 13, tzinfo=UTC), result=result)


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (ended(137, reason="OOMKilled"), "OOMKilled", ""),
        (ended(1, "boom\n  twice", reason="Error"), None, "boom twice"),
        (ended(1, reason="Error") | {"reason": "Evicted", "message": "low on disk"}, "Evicted", "low on disk"),
    ],
)
def test_ends_in_the_words_of_trainer_and_kubelet(status: JSON, reason: str | None, message: str) -> None:
    found = end_of(status)
    assert (found.reason, found.message, found.result) == (reason, message, None)


def test_a_result_that_cannot_be_read_says_why() -> None:
    found = end_of(ended(0, '{"kind": "TrainerResult", "schemaVersion": 99}'))
    assert found.result is None
    assert found.message.startswith("the trainer's result can't be read: ")
    assert "upgrade" in found.message


def test_a_pod_that_never_ran_ends_at_its_last_transition() -> None:
    conditions = [
        {"type": "PodScheduled", "status": "False", "lastTransitionTime": "2030-01-31T12:00:00Z"},
        {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": END},
    ]
    found = end_of({"phase": "Failed", "conditions": conditions})
    assert (found.exit_code, found.disrupted, found.time) == (None, True, datetime(2030, 1, 31, 13, tzinfo=UTC))
    assert end_of({"phase": "Failed"}).time is None


def observed(lab: TrainingLab, **extra: Any) -> ObservedTraining:
    arguments: JSON = {
        "jobs": lab.jobs.values(),
        "pods": lab.pods.values(),
        "config_maps": [],
        "revisions": [],
        "progress": {},
        "trainings": {},
    }
    return observe_training(lab.training(), **(arguments | extra))


def test_jobs_and_pods_are_put_together_by_the_jobs_names() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.fail(ExitCode.INTERRUPTED)
    lab.reconcile()
    lab.run_pod()
    found = observed(lab).attempts
    assert list(found) == [(1, 1), (1, 2)]
    assert not found[1, 1].is_live
    assert found[1, 2].is_live
    assert found[1, 2].job is not None
    assert found[1, 2].job.config_map == lab.status["run"]["configMap"]
    assert found[1, 2].job.settings_hash == lab.status["run"]["settingsHash"]


def test_a_pod_whose_job_is_gone_still_counts() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.jobs.clear()
    (attempt,) = observed(lab).attempts.values()
    assert attempt.job is None
    assert attempt.is_live


def test_of_two_pods_the_live_one_counts_else_the_newest() -> None:
    lab = TrainingLab()
    lab.reconcile()
    first = lab.run_pod()
    second = {**first, "metadata": {**first["metadata"], "uid": "uid-second", "name": "second"}}
    second["metadata"]["creationTimestamp"] = "2030-01-31T12:30:00Z"
    second["status"] = ended(1)
    chosen = observed(lab, pods=[first, second]).attempts[1, 1].pod
    assert chosen is not None
    assert chosen.uid == first["metadata"]["uid"]
    first["status"] = ended(75)
    chosen = observed(lab, pods=[second, first]).attempts[1, 1].pod
    assert chosen is not None
    assert chosen.uid == "uid-second"


def test_other_jobs_and_pods_of_the_training_are_left_out() -> None:
    lab = TrainingLab()
    lab.reconcile()
    job = lab.jobs["support-bot-r1-a1"]
    preflight = {**job, "metadata": {**job["metadata"], "name": names.preflight_job("support-bot", 1)}}
    stray = {"metadata": {"name": "stray", "uid": "x"}, "status": {}}
    found = observed(lab, jobs=[job, preflight], pods=[stray])
    assert list(found.attempts) == [(1, 1)]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("support-bot-r1-a2", (1, 2)),
        ("support-bot-r12-a345", (12, 345)),
        ("support-bot-r1-preflight", None),
        ("support-bot-r0-a1", None),
        ("other-r1-a2", None),
    ],
)
def test_the_numbers_in_a_jobs_name(name: str, numbers: tuple[int, int] | None) -> None:
    assert names.attempt_of_job("support-bot", name) == numbers


def test_controllers_are_told_by_uid() -> None:
    owned = {"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": True}]}}
    assert controller_uid(owned) == "b"
    assert is_controlled_by(owned, "b")
    assert not is_controlled_by(owned, "a")
    assert not is_controlled_by({"metadata": {}}, "")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"waiting": {"reason": "ErrImagePull"}}, "ErrImagePull for image x:1"),
        ({"waiting": {"reason": "PodInitializing"}}, None),
        ({"running": {}}, None),
    ],
)
def test_what_a_container_waits_for(state: JSON, words: str | None) -> None:
    conditions = [{"type": "PodScheduled", "status": "True"}]
    containers = [{"name": "trainer", "image": "x:1", "state": state}]
    events = [{"metadata": {}, "involvedObject": {"uid": "u"}, "reason": "Pulling"}]
    found = waiting_for(pod({"conditions": conditions, "containerStatuses": containers}), events)
    assert (found.message if found else None) == words


def test_a_job_that_is_suspended_or_has_failed_conditions_of_false_is_not_finished() -> None:
    lab = TrainingLab()
    lab.reconcile()
    conditions = [{"type": "Suspended", "status": "True"}, {"type": "Failed", "status": "False"}]
    lab.jobs["support-bot-r1-a1"]["status"] = {"conditions": conditions}
    assert observed(lab).attempts[1, 1].is_live


def test_small_readers_of_pods() -> None:
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert is_ready(ready)
    assert condition_status(ready, "Other") is None
    assert read_time(None) is None
    assert waiting_for({"metadata": {}, "status": {"phase": "Succeeded"}}) is None


def test_a_training_without_a_uid_controls_nothing() -> None:
    training = AdapterTraining.parse(training_document(uid=""))
    owner = {"kind": "AdapterTraining", "name": "support-bot", "uid": "", "controller": True}
    job = {"metadata": {"name": "support-bot-r1-a1", "uid": "j", "ownerReferences": [owner]}}
    found = observe_training(training, jobs=[job], pods=[], config_maps=[], revisions=[], progress={}, trainings={})
    assert found.attempts == {}
    assert ("Job", "support-bot-r1-a1") in found.foreign
