"""What the conditions and status.progress say while an attempt is under way."""

from typing import Any

import pytest

from adapter_contract.exit_codes import ExitCode
from adapter_contract.progress import Phase
from adapter_operator.api.v1alpha1.scalars import format_time
from adapter_operator.plan.training_running import duration_text
from adapter_testing.training_lab import START, TrainingLab, digest_of

pytestmark = pytest.mark.unit


def running() -> TrainingLab:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    return lab


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
                ]
            },
            "Unschedulable",
            "0/3 nodes",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "name": "trainer",
                        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
                    }
                ]
            },
            "ImagePullFailed",
            "no such image",
        ),
        (
            {
                "containerStatuses": [
                    {"name": "trainer", "state": {"waiting": {"reason": "CreateContainerConfigError"}}}
                ]
            },
            "VolumeUnavailable",
            "CreateContainerConfigError",
        ),
        (
            {"containerStatuses": [{"name": "trainer", "state": {"waiting": {"reason": "ContainerCreating"}}}]},
            "Starting",
            "Attempt 1 of run 1 is starting",
        ),
    ],
)
def test_what_a_pod_waits_for(status: dict[str, Any], reason: str, words: str) -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.add_pod()["status"] |= status
    lab.reconcile()
    assert lab.reason == reason
    assert words in lab.message


def event(about: dict[str, Any], reason: str, message: str, time: str = "2030-01-31T12:00:00Z") -> dict[str, Any]:
    return {
        "metadata": {"name": "e"},
        "involvedObject": {"uid": about["metadata"]["uid"]},
        "reason": reason,
        "message": message,
        "lastTimestamp": time,
    }


def test_an_exceeded_quota_shows_in_an_event_alone_and_is_forgotten_when_the_pod_is_there() -> None:
    lab = TrainingLab()
    lab.reconcile()
    job = lab.jobs["support-bot-r1-a1"]
    lab.kubernetes_events = [
        event(job, "SuccessfulDelete", "exceeded quota: not this one"),
        event(job, "FailedCreate", "pods is forbidden: exceeded quota: gpus"),
        event({"metadata": {"uid": "other"}}, "FailedCreate", "exceeded quota: of others"),
    ]
    lab.reconcile()
    assert lab.reason == "QuotaExceeded"
    assert "exceeded quota: gpus" in lab.message
    assert [(one.type, one.reason) for one in lab.events][-1] == ("Warning", "QuotaExceeded")
    lab.run_pod()
    lab.reconcile()
    assert lab.reason == "Starting"


def test_other_failures_to_create_a_pod_are_no_quota() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.kubernetes_events = [event(lab.jobs["support-bot-r1-a1"], "FailedCreate", "service account not found")]
    assert lab.plan().is_empty


def test_a_volume_that_cannot_be_mounted_shows_in_an_event_alone() -> None:
    lab = TrainingLab()
    lab.reconcile()
    pod = lab.add_pod()
    lab.kubernetes_events = [
        event(pod, "FailedMount", 'secret "store" not found', "2030-01-31T12:00:05Z"),
        event(pod, "FailedMount", "an older one"),
    ]
    lab.reconcile()
    assert lab.reason == "VolumeUnavailable"
    assert 'secret "store" not found' in lab.message
    lab.run_pod()
    lab.reconcile()
    assert lab.reason == "Starting"


def test_progress_is_written_at_once_then_every_30_seconds_and_at_each_change_of_phase() -> None:
    lab = running()
    lab.report(step=1)
    lab.reconcile()
    assert lab.status["progress"]["step"] == 1
    written = len(lab.statuses)
    lab.wait(29)
    lab.report(step=2)
    lab.reconcile()
    assert len(lab.statuses) == written
    lab.wait(1)
    lab.report(step=3)
    lab.reconcile()
    assert lab.status["progress"]["step"] == 3
    lab.wait(1)
    lab.report(Phase.EVALUATING, step=4)
    lab.reconcile()
    assert lab.reason == "Evaluating"
    assert lab.status["progress"]["step"] == 4
    assert len(lab.statuses) == written + 2


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_the_age_of_progress_is_by_the_trainers_clock_alone(ahead: int) -> None:
    lab = running()

    def report(step: int) -> None:
        lab.wait(ahead)
        lab.report(step=step)
        lab.wait(-ahead)
        lab.reconcile()

    report(1)
    lab.wait(29)
    report(2)
    assert lab.status["progress"]["step"] == 1
    lab.wait(1)
    report(3)
    assert lab.status["progress"]["step"] == 3


def test_a_checkpoint_of_the_report_is_shown() -> None:
    lab = running()
    lab.report(Phase.CHECKPOINTING, step=9, checkpoint={"step": 9, "digest": digest_of("c"), "time": START})
    lab.reconcile()
    assert lab.reason == "Training"
    assert lab.status["checkpoint"] == {"step": 9, "digest": digest_of("c"), "time": format_time(START)}


def test_the_newest_checkpoint_of_an_ended_attempt_is_shown() -> None:
    lab = running()
    checkpoint = {"step": 4, "digest": digest_of("c"), "time": START}
    lab.fail(ExitCode.INTERRUPTED, "evicted", checkpoint=checkpoint)
    lab.reconcile()
    assert lab.status["checkpoint"]["step"] == 4


def test_after_a_restart_of_the_operator_the_stored_status_stands_until_the_pod_answers() -> None:
    lab = running()
    lab.report(step=1)
    lab.reconcile()
    lab.progress.clear()
    lab.wait(500)
    assert lab.plan().is_empty
    lab.report(step=2)
    lab.reconcile()
    assert lab.status["progress"]["step"] == 2


def test_the_report_of_another_attempt_is_not_taken_for_this_one() -> None:
    lab = running()
    lab.report(step=1)
    lab.reconcile()
    old = dict(lab.progress)
    lab.fail(ExitCode.INTERRUPTED, "evicted")
    lab.reconcile()
    pod = lab.run_pod()
    lab.progress[pod["metadata"]["uid"]] = next(iter(old.values()))
    lab.reconcile()
    assert lab.reason == "Starting"
    assert "Attempt 2" in lab.message


def test_the_phase_of_loading_is_told_as_starting() -> None:
    lab = running()
    lab.report(Phase.LOADING, step=0)
    lab.reconcile()
    assert lab.reason == "Starting"
    assert "loading the base model" in lab.message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_100, "3h5m"),
        (172_799, "47h59m"),
        (172_800, "2d"),
        (187_200, "2d4h"),
    ],
)
def test_durations_are_short(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text
