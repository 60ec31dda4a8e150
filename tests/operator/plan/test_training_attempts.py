"""What follows the end of an attempt: nothing, another one, or a failed run."""

import pytest

from adapter_contract.exit_codes import ExitCode
from adapter_operator.api.v1alpha1.scalars import format_time
from adapter_testing.training_lab import START, TrainingLab, digest_of, trainer_result

pytestmark = pytest.mark.unit

A = digest_of("a")


def running(put: dict[str, object] | None = None) -> TrainingLab:
    """A training whose first attempt runs."""
    lab = TrainingLab(put)
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    return lab


def again(lab: TrainingLab) -> None:
    """The attempt that was started last runs too."""
    lab.run_pod()
    lab.reconcile()


@pytest.mark.parametrize(
    ("code", "reason", "class_"),
    [
        (ExitCode.BAD_CONFIGURATION, "BadConfiguration", "Configuration"),
        (ExitCode.BAD_DATA, "BadData", "Data"),
        (ExitCode.DIVERGED, "Diverged", "Diverged"),
    ],
)
def test_what_is_never_repeated(code: ExitCode, reason: str, class_: str) -> None:
    lab = running()
    lab.wait(7)
    lab.fail(code, "field x: wrong")
    lab.reconcile()
    assert lab.reason == reason
    assert "field x: wrong. Change the spec" in lab.message
    assert lab.status["failure"] == {"class": class_, "message": "field x: wrong", "exitCode": int(code)}
    assert lab.status["run"]["completionTime"] == format_time(lab.now)
    assert lab.outcomes() == [(1, 1, class_)]
    assert lab.requeue_after is None
    assert [(event.type, event.reason) for event in lab.events] == [
        ("Normal", "RunStarted"),
        ("Warning", "AttemptFailed"),
        ("Warning", reason),
    ]


def test_an_output_of_another_training_has_a_reason_of_its_own() -> None:
    lab = running()
    lab.fail(ExitCode.BAD_CONFIGURATION, "OutputInUse: s3://x belongs to team-b/other")
    lab.reconcile()
    assert lab.reason == "OutputInUse"
    assert "s3://x belongs to team-b/other" in lab.message
    assert lab.status["failure"]["class"] == "OutputInUse"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ExitCode.INPUT_MISSING, "InputMissing"),
        (ExitCode.STORAGE_UNAVAILABLE, "StorageUnavailable"),
        (ExitCode.PERMISSION, "PermissionDenied"),
    ],
)
def test_storage_failures_are_repeated_with_growing_pauses(code: ExitCode, reason: str) -> None:
    lab = running()
    for attempt, pause in enumerate([10, 20, 40, 80, 160, 300, 300], start=1):
        lab.fail(code, "s3://models: no answer")
        lab.reconcile()
        assert lab.reason == reason
        assert "s3://models: no answer" in lab.message
        assert lab.requeue_after == pause
        assert lab.posted[-1] == f"support-bot-r1-a{attempt}"
        lab.wait(pause)
        lab.reconcile()
        assert lab.posted[-1] == f"support-bot-r1-a{attempt + 1}"
        assert lab.reason == "Starting"
        again(lab)
    assert len(lab.config_maps) == 1
    lab.succeed(A)
    lab.reconcile()
    assert lab.reason == "Succeeded"
    assert "failure" not in lab.status


def test_pauses_after_storage_failures_count_towards_the_deadline() -> None:
    lab = running({"spec.deadlineSeconds": 60})
    for pause in (10, 20):
        lab.fail(ExitCode.STORAGE_UNAVAILABLE, "no answer")
        lab.reconcile()
        lab.wait(pause)
        lab.reconcile()
        again(lab)
    lab.fail(ExitCode.STORAGE_UNAVAILABLE, "no answer")
    lab.reconcile()
    assert lab.reason == "DeadlineExceeded"
    assert "no answer" in lab.message
    assert lab.status["failure"]["class"] == "DeadlineExceeded"


@pytest.mark.parametrize(
    ("code", "reason"), [(ExitCode.INTERNAL, "TrainerFailed"), (ExitCode.OUT_OF_MEMORY, "OutOfMemory")]
)
@pytest.mark.parametrize("retries", [0, 2])
def test_crashes_are_repeated_as_often_as_retries_says(code: ExitCode, reason: str, retries: int) -> None:
    lab = running({"spec.retries": {"failure": retries}})
    for _ in range(retries):
        lab.fail(code, "Traceback")
        lab.reconcile()
        assert lab.reason == "Retrying"
        lab.wait(lab.requeue_after or 0)
        lab.reconcile()
        again(lab)
    lab.fail(code, "Traceback")
    lab.reconcile()
    assert lab.reason == reason
    assert len(lab.posted) == retries + 1
    assert lab.status["run"]["failures"] == retries + 1


def test_interruptions_are_free_and_followed_at_once() -> None:
    lab = running({"spec.retries": {"failure": 0}})
    for attempt in range(2, 26):
        lab.fail(ExitCode.INTERRUPTED, "evicted", resumed_from_step=attempt, last_saved_step=attempt + 1)
        lab.reconcile()
        assert lab.posted[-1] == f"support-bot-r1-a{attempt}"
        again(lab)
    lab.succeed(A)
    lab.reconcile()
    assert lab.reason == "Succeeded"
    assert len(lab.status["attempts"]) == 20
    assert "AttemptInterrupted" in lab.event_reasons
    assert lab.status["run"]["failures"] == 0


def test_a_disrupted_pod_is_an_interruption_whatever_its_code() -> None:
    lab = running({"spec.retries": {"failure": 0}})
    lab.end_pod(137, disrupted=True)
    lab.reconcile()
    assert lab.outcomes()[0] == (1, 1, "Interrupted")
    assert lab.posted[-1] == "support-bot-r1-a2"


def test_five_attempts_from_the_same_step_are_no_progress() -> None:
    lab = running()
    for _ in range(5):
        assert lab.reason != "NoProgress"
        lab.fail(ExitCode.INTERRUPTED, "preempted", resumed_from_step=3)
        lab.reconcile()
        if lab.reason == "Starting":
            again(lab)
    assert lab.reason == "NoProgress"
    assert len(lab.posted) == 5
    lab.edit({"checkpoint": {"intervalSeconds": 10}})
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r1-a6"
    again(lab)
    lab.fail(ExitCode.INTERRUPTED, "preempted", resumed_from_step=3)
    lab.reconcile()
    assert lab.reason == "Starting"


def test_attempts_that_all_begin_at_step_0_are_free_interruptions() -> None:
    lab = running({"spec.retries": {"failure": 0}})
    for attempt in range(2, 8):
        lab.fail(ExitCode.INTERRUPTED, "preempted", resumed_from_step=0)
        lab.reconcile()
        assert lab.posted[-1] == f"support-bot-r1-a{attempt}"
        again(lab)
    assert [one["resumedFromStep"] for one in lab.status["attempts"] if "endTime" in one] == [0] * 6
    assert lab.status["run"]["failures"] == 0


def test_a_kill_with_no_cause_is_forgiven_once() -> None:
    lab = running({"spec.retries": {"failure": 0}})
    lab.end_pod(137)
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r1-a2"
    again(lab)
    lab.end_pod(143)
    lab.reconcile()
    assert lab.reason == "TrainerFailed"
    assert lab.outcomes() == [(1, 1, "Killed"), (1, 2, "Internal")]


@pytest.mark.parametrize("reason", ["OOMKilled", "Evicted"])
def test_a_pod_that_took_too_much_is_out_of_memory(reason: str) -> None:
    lab = running({"spec.retries": {"failure": 0}})
    lab.end_pod(137, reason=reason)
    lab.reconcile()
    assert lab.reason == "OutOfMemory"
    assert "spec.pod.resources.limits.memory" in lab.message


def test_plain_words_in_the_termination_message_are_shown() -> None:
    lab = running()
    lab.end_pod(64, "the configuration is of schemaVersion 9:\nupgrade the trainer image")
    lab.reconcile()
    assert lab.reason == "BadConfiguration"
    assert "schemaVersion 9: upgrade the trainer image." in lab.message


def test_an_exit_code_alone_is_explained() -> None:
    lab = running({"spec.retries": {"failure": 0}})
    lab.end_pod(1)
    lab.reconcile()
    assert lab.reason == "TrainerFailed"
    assert "the trainer crashed; its log says more (exit code 1)." in lab.message
    assert lab.status["failure"]["exitCode"] == 1


@pytest.mark.parametrize(
    "message",
    ["", '{"kind": "TrainerResult"', trainer_result(run=9, attempt=1, digest=A).to_termination_message()],
)
def test_a_success_without_a_result_of_this_run_is_a_crash(message: str | bytes) -> None:
    lab = running({"spec.retries": {"failure": 0}})
    lab.end_pod(0, message)
    lab.reconcile()
    assert lab.reason == "TrainerFailed"
    assert "holds no result of this run" in lab.message


def test_the_deadline_counts_running_time_of_all_attempts_but_no_waiting_for_a_node() -> None:
    lab = TrainingLab({"spec.deadlineSeconds": 100})
    lab.reconcile()
    lab.add_pod(scheduled=False)
    lab.wait(5000)
    lab.reconcile()
    assert lab.requeue_after is None
    lab.run_pod()
    lab.reconcile()
    assert lab.requeue_after == 100
    lab.wait(60)
    lab.fail(ExitCode.INTERRUPTED, "evicted")
    lab.reconcile()
    assert lab.status["run"]["runningSeconds"] == 60
    lab.wait(1000)
    again(lab)
    assert lab.requeue_after == 40
    lab.wait(40)
    lab.reconcile()
    assert lab.reason == "Stopping"
    assert "deadline" in lab.message
    lab.end_pod(75)
    lab.reconcile()
    assert lab.reason == "DeadlineExceeded"
    assert "100" in lab.message
    assert lab.outcomes() == [(1, 1, "Interrupted"), (1, 2, "Stopped")]


def test_an_attempt_that_publishes_while_it_is_stopped_has_published() -> None:
    lab = running({"spec.deadlineSeconds": 100})
    lab.wait(100)
    lab.reconcile()
    assert lab.reason == "Stopping"
    lab.keeps_ended_pods = True
    lab.succeed(A)
    lab.reconcile()
    assert lab.reason == "Succeeded"
    assert lab.outcomes() == [(1, 1, "Succeeded")]


@pytest.mark.parametrize(
    "edit",
    [
        {"pod": {"resources": {"limits": {"memory": "32Gi"}}}},
        {"output": {"s3": {"uri": "s3://elsewhere/"}}},
        {"retries": {"failure": 3}},
        {"deadlineSeconds": 600},
        {"checkpoint": {"keep": 3}},
        {"preflight": {"mode": "Warn"}},
    ],
)
def test_a_changed_setting_gives_a_failed_run_a_new_attempt_with_fresh_counts(edit: dict[str, object]) -> None:
    lab = running({"spec.retries": {"failure": 0}})
    lab.wait(30)
    lab.fail(ExitCode.OUT_OF_MEMORY, "too large")
    lab.reconcile()
    assert lab.reason == "OutOfMemory"
    lab.edit(edit)
    lab.reconcile()
    assert lab.reason == "Starting"
    assert lab.posted[-1] == "support-bot-r1-a2"
    run = lab.status["run"]
    assert (run["failures"], run["runningSeconds"], run["countedFrom"]) == (0, 0, 2)
    assert "completionTime" not in run
    assert "failure" not in lab.status
    assert run["configMap"] in lab.config_maps


@pytest.mark.parametrize(
    "edit", [{"sharing": {"namespaces": ["b"]}}, {"jobTTLSecondsAfterFinished": 5}, {"promotion": {}}]
)
def test_other_edits_leave_a_failed_run_alone(edit: dict[str, object]) -> None:
    lab = running({"spec.retries": {"failure": 0}})
    lab.fail(ExitCode.OUT_OF_MEMORY, "too large")
    lab.reconcile()
    lab.edit(edit)
    lab.reconcile()
    assert lab.reason == "OutOfMemory"
    assert len(lab.posted) == 1
    assert lab.status["observedGeneration"] == 2


def test_settings_of_a_pod_that_never_ran_replace_its_job_and_of_a_running_one_wait() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.add_pod(scheduled=False)
    lab.edit({"pod": {"nodeSelector": {"zone": "b"}}})
    lab.reconcile()
    assert lab.reason == "Stopping"
    lab.drop_job("support-bot-r1-a1")
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r1-a2"
    lab.run_pod()
    lab.reconcile()
    lab.edit({"pod": {"nodeSelector": {"zone": "c"}}})
    lab.reconcile()
    assert lab.live_jobs() == ["support-bot-r1-a2"]
    lab.fail(ExitCode.INTERRUPTED)
    lab.reconcile()
    job = lab.jobs["support-bot-r1-a3"]
    assert job["spec"]["template"]["spec"]["nodeSelector"] == {"zone": "c"}


def test_an_edit_of_the_identity_overrides_a_failure() -> None:
    lab = running()
    lab.fail(ExitCode.BAD_DATA)
    lab.reconcile()
    lab.edit({"dataset": {"source": {"s3": {"uri": "s3://datasets/better.jsonl"}}}})
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r2-a1"
    assert "failure" not in lab.status


def test_no_attempt_starts_while_the_job_before_is_not_finished() -> None:
    lab = running()
    lab.keeps_ended_pods = True
    lab.end_pod(75, job_finishes=False)
    lab.reconcile()
    assert lab.reason == "Interrupted"
    assert "attempt 1 of run 1" in lab.message
    assert len(lab.posted) == 1
    lab.finish_jobs()
    lab.reconcile()
    assert len(lab.posted) == 2


def test_a_success_does_not_wait_for_its_job() -> None:
    lab = running()
    lab.end_pod(0, trainer_result(1, 1, A).to_termination_message(), job_finishes=False)
    lab.reconcile()
    assert lab.reason == "Succeeded"


def test_a_finished_job_whose_pod_is_not_seen_yet_gets_half_a_minute() -> None:
    lab = TrainingLab({"spec.retries": {"failure": 0}})
    lab.reconcile()
    job = lab.jobs["support-bot-r1-a1"]
    job["status"] = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": format_time(START)}]}
    lab.reconcile()
    assert lab.reason == "Uploading"
    assert lab.requeue_after == 30
    lab.wait(30)
    lab.reconcile()
    assert lab.outcomes() == [(1, 1, "Killed")]
    assert lab.posted[-1] == "support-bot-r1-a2"


def test_a_finished_job_is_not_stopped_while_its_pod_is_still_seen_to_run() -> None:
    lab = running()
    job = lab.jobs["support-bot-r1-a1"]
    job["status"] = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": format_time(START)}]}
    lab.edit({"suspend": True})
    assert lab.plan().delete == ()
    lab.reconcile()
    assert lab.reason == "Uploading"
    assert lab.message == "Attempt 1 of run 1 has ended; its result is being read."
    assert lab.requeue_after is None
    lab.succeed(A)
    lab.reconcile()
    assert lab.outcomes() == [(1, 1, "Succeeded")]
    assert lab.status["adapter"]["digest"] == A


def test_a_job_that_a_user_deletes_is_followed_by_the_next_attempt() -> None:
    lab = running()
    lab.jobs["support-bot-r1-a1"]["metadata"]["deletionTimestamp"] = format_time(lab.now)
    lab.reconcile()
    assert lab.reason == "Stopping"
    lab.end_pod(75)
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r1-a2"


def test_a_job_that_was_deleted_before_it_had_a_pod_is_created_again() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.drop_job("support-bot-r1-a1")
    lab.reconcile()
    assert lab.posted == ["support-bot-r1-a1", "support-bot-r1-a1"]


def test_a_lost_config_map_is_written_again() -> None:
    lab = running()
    before = dict(lab.config_maps)
    lab.config_maps.clear()
    lab.fail(ExitCode.INTERRUPTED)
    lab.reconcile()
    assert lab.config_maps.keys() == before.keys()
    assert lab.posted[-1] == "support-bot-r1-a2"


def test_an_attempt_that_lost_its_base_model_waits_for_the_platform() -> None:
    lab = running()
    settings = lab.settings
    lab.settings = type(settings).read(settings.to_dict() | {"baseModels": []})
    lab.fail(ExitCode.INTERRUPTED)
    lab.reconcile()
    assert lab.reason == "UnknownBaseModel"
    lab.settings = settings
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r1-a2"


def test_gpu_time_of_a_failed_attempt_is_wasted_unless_it_saved_something() -> None:
    lab = running({"spec.pod": {"gpus": 2}})
    lab.wait(100)
    lab.fail(ExitCode.INTERRUPTED, "evicted", resumed_from_step=0, last_saved_step=50)
    lab.reconcile()
    again(lab)
    lab.wait(50)
    lab.fail(ExitCode.INTERRUPTED, "evicted", resumed_from_step=50, last_saved_step=50)
    lab.reconcile()
    assert lab.status["usage"] == {"gpuSeconds": 300, "wastedGpuSeconds": 100, "trainedTokens": 0}
