"""The life of a training, from its first sight to later versions."""

from typing import Any

import pytest

from adapter_contract.exit_codes import ExitCode
from adapter_contract.progress import Phase
from adapter_contract.trainer_config import TrainerConfig
from adapter_operator.api.v1alpha1.scalars import format_time
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.plan.training_versions import common_method_name
from adapter_testing.training_lab import START, TrainingLab, digest_of, training_document

pytestmark = pytest.mark.unit

A, B, C = digest_of("a"), digest_of("b"), digest_of("c")


def published(lab: TrainingLab, digest: str) -> None:
    """Reconcile, run the attempt that was started, and publish."""
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.wait(60)
    lab.succeed(digest)
    lab.reconcile()


def test_first_sight_starts_run_1_and_says_so_in_one_write() -> None:
    lab = TrainingLab()
    plan = lab.plan()
    assert [manifest["kind"] for manifest in plan.create] == ["ConfigMap"]
    lab.carry_out(plan)
    assert lab.reason == "Starting"
    assert lab.status["observedGeneration"] == 1
    assert lab.posted == ["support-bot-r1-a1"]
    assert len(lab.statuses) == 1
    run = lab.status["run"]
    assert (run["number"], run["attempt"], run["job"]) == (1, 1, "support-bot-r1-a1")
    assert run["startTime"] == format_time(START)
    assert lab.status["resolved"] == {
        "image": "adapter-trainer:1",
        "method": "QLoRA",
        "learningRate": "2e-4",
        "storage": {"uri": "s3://adapters/root/lab/team-a/", "endpointURL": "http://127.0.0.1:8333"},
        "deadlineSeconds": 86400,
    }
    assert lab.plan().is_empty


def test_from_start_to_a_published_version() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    assert lab.reason == "Starting"
    lab.report(Phase.TRAINING, step=5, total_steps=100, percent=5, loss=1.23456, estimated_remaining_seconds=700)
    lab.reconcile()
    assert lab.reason == "Training"
    assert lab.status["progress"] == {
        "step": 5,
        "totalSteps": 100,
        "percent": 5,
        "loss": "1.235",
        "estimatedRemaining": "11m",
        "updatedTime": format_time(START),
    }
    lab.wait(60)
    lab.report(Phase.UPLOADING, step=100, total_steps=100, percent=100)
    lab.reconcile()
    assert lab.reason == "Uploading"
    lab.succeed(
        A,
        evaluation_digest=C,
        summary={"method": "LoRA", "rank": 16, "trainable_parameters": 1000, "size_bytes": 4000},
        usage={"seconds": 50, "gpu_seconds": 50, "trained_tokens": 12345, "peak_memory_bytes": 7},
        resumed_from_step=0,
    )
    lab.reconcile()
    uri = f"s3://adapters/root/lab/team-a/support-bot/artifacts/sha256-{'a' * 64}/"
    metrics = [{"name": "Loss", "value": "1.18"}]
    assert lab.status["adapter"] == {
        "version": 1,
        "digest": A,
        "uri": uri,
        "sizeBytes": 4000,
        "method": "QLoRA",
        "rank": 16,
        "trainableParameters": 1000,
        "baseModel": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "metrics": metrics,
    }
    assert lab.status["run"]["result"] == {"digest": A, "uri": uri, "metrics": metrics, "evaluationDigest": C}
    assert lab.status["versions"] == [
        {"version": 1, "digest": A, "uri": uri, "run": 1, "time": format_time(lab.now), "metrics": metrics}
    ]
    assert lab.reason == "Succeeded"
    assert [one["type"] for one in lab.status["conditions"]] == ["Ready"]
    assert lab.outcomes() == [(1, 1, "Succeeded")]
    assert lab.status["usage"] == {
        "gpuSeconds": 60,
        "wastedGpuSeconds": 0,
        "peakMemoryBytes": 7,
        "trainedTokens": 12345,
    }
    assert lab.status["progress"]["percent"] == 100
    revision = lab.revisions["support-bot-v1"]
    assert revision["revision"] == 1
    assert revision["data"]["digest"] == A
    assert lab.event_reasons == ["RunStarted", "Succeeded"]


def test_an_edit_that_changes_no_identity_starts_nothing() -> None:
    lab = TrainingLab()
    published(lab, A)
    jobs = list(lab.posted)
    lab.edit(
        {
            "hyperparameters": {"learningRate": "0.0002", "batchSize": 16},
            "pod": {"gpus": 2},
            "sharing": {"namespaces": ["team-b"]},
            "method": {"type": "LoRA", "lora": {"rank": 16}},
        }
    )
    lab.reconcile()
    assert lab.posted == jobs
    assert lab.reason == "Succeeded"
    assert lab.status["observedGeneration"] == 2


def test_a_changed_identity_starts_the_next_run_and_the_version_before_stays_in_service() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.edit({"hyperparameters": {"seed": 7}})
    lab.reconcile()
    assert lab.reason == "Starting"
    assert lab.posted[-1] == "support-bot-r2-a1"
    assert lab.status["adapter"]["digest"] == A
    assert "progress" not in lab.status
    published(lab, B)
    assert lab.status["adapter"]["version"] == 2
    assert [one["version"] for one in lab.status["versions"]] == [2, 1]
    assert sorted(lab.revisions) == ["support-bot-v1", "support-bot-v2"]


def test_config_maps_of_earlier_runs_are_deleted_when_nothing_mounts_them() -> None:
    lab = TrainingLab()
    published(lab, A)
    (first,) = lab.config_maps
    lab.edit({"hyperparameters": {"seed": 7}})
    lab.reconcile()
    assert first not in lab.config_maps
    assert len(lab.config_maps) == 1


def test_a_failed_run_2_leaves_version_1_in_service() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.edit({"hyperparameters": {"seed": 7}})
    lab.reconcile()
    lab.run_pod()
    lab.fail(ExitCode.BAD_DATA, "line 3: no messages")
    lab.reconcile()
    assert lab.reason == "BadData"
    assert "line 3: no messages" in lab.message
    assert lab.status["adapter"]["digest"] == A


def test_a_restart_token_runs_the_same_again_and_a_removed_one_does_not() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.edit({"restartToken": "2"})
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r2-a1"
    (document,) = lab.config_maps.values()
    config = TrainerConfig.from_json(document["data"]["trainer-config.json"])
    assert (config.run.restart_token, config.reuse) == ("2", "Forbidden")
    published(lab, B)
    lab.edit(remove=("restartToken",))
    lab.reconcile()
    assert lab.reason == "Succeeded"
    assert len(lab.posted) == 2


def test_git_revert_takes_the_version_of_equal_inputs_into_service_again() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.edit({"hyperparameters": {"seed": 7}})
    published(lab, B)
    lab.edit({"hyperparameters": {"seed": 0}})
    lab.reconcile()
    lab.run_pod()
    lab.succeed(A, reused=True)
    lab.reconcile()
    assert lab.status["adapter"]["version"] == 1
    assert [one["version"] for one in lab.status["versions"]] == [2, 1]
    assert lab.status["run"]["number"] == 3
    assert lab.reason == "Reused"
    assert "version 1" in lab.message
    assert len(lab.revisions) == 2


def test_the_runs_own_record_read_by_a_second_attempt_is_a_success_not_reuse() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.drop_job("support-bot-r1-a1")
    lab.reconcile()
    assert lab.outcomes() == [(1, 1, "Killed")]
    lab.run_pod()
    lab.succeed(A, reused=True)
    lab.reconcile()
    assert lab.reason == "Succeeded"


def test_suspend_stops_the_job_and_resume_is_the_next_attempt() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.edit({"suspend": True})
    lab.reconcile()
    assert lab.reason == "Stopping"
    assert "spec.suspend" in lab.message
    assert "deletionTimestamp" in lab.jobs["support-bot-r1-a1"]["metadata"]
    lab.keeps_ended_pods = True
    lab.fail(ExitCode.INTERRUPTED, "saved", resumed_from_step=0, last_saved_step=10)
    lab.reconcile()
    lab.keeps_ended_pods = False
    lab.collect_garbage()
    lab.reconcile()
    assert lab.reason == "Suspended"
    assert [one["type"] for one in lab.status["conditions"]] == ["Ready"]
    assert lab.outcomes() == [(1, 1, "Stopped")]
    lab.edit({"suspend": False})
    lab.reconcile()
    assert lab.posted == ["support-bot-r1-a1", "support-bot-r1-a2"]
    assert len(lab.config_maps) == 1
    published(lab, A)
    assert lab.reason == "Succeeded"


def test_suspended_from_the_start_nothing_is_created() -> None:
    lab = TrainingLab({"spec.suspend": True})
    lab.reconcile()
    assert lab.reason == "Suspended"
    assert (lab.posted, lab.config_maps) == ([], {})


def test_suspending_what_is_published_changes_nothing() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.edit({"suspend": True})
    lab.reconcile()
    assert lab.reason == "Succeeded"


def test_a_suspension_that_is_taken_back_before_the_job_was_deleted_lets_it_go_on() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.edit({"suspend": True})
    plan = lab.plan()
    lab.carry_out(type(plan)(status=plan.status))  # the operator dies before it deletes
    assert lab.outcomes() == [(1, 1, "Stopped")]
    lab.edit({"suspend": False})
    lab.reconcile()
    assert lab.outcomes() == [(1, 1, None)]
    assert lab.live_jobs() == ["support-bot-r1-a1"]


def test_an_edit_while_running_stops_the_old_job_before_the_new_run() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.edit({"hyperparameters": {"seed": 7}})
    lab.reconcile()
    assert lab.reason == "Stopping"
    assert lab.posted == ["support-bot-r1-a1"]
    lab.fail(ExitCode.INTERRUPTED)
    lab.reconcile()
    assert lab.posted == ["support-bot-r1-a1", "support-bot-r2-a1"]
    assert lab.reason == "Starting"


def test_a_finished_job_is_harvested_before_the_edit_counts() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.succeed(A)
    lab.edit({"hyperparameters": {"seed": 7}})
    lab.reconcile()
    assert [one["digest"] for one in lab.status["versions"]] == [A]
    assert "adapter" not in lab.status
    assert lab.posted[-1] == "support-bot-r2-a1"


def test_what_was_published_unwanted_is_followed_when_it_is_wanted_again() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    lab.succeed(A)
    lab.edit({"hyperparameters": {"seed": 7}, "suspend": True})
    lab.reconcile()
    assert lab.reason == "Suspended"
    assert "adapter" not in lab.status
    lab.edit({"hyperparameters": {"seed": 0}})
    record = lab.revisions.pop("support-bot-v1")
    lab.reconcile()
    assert lab.reason == "Pending"
    lab.revisions["support-bot-v1"] = record
    lab.reconcile()
    assert lab.reason == "Succeeded"
    assert lab.status["adapter"]["digest"] == A


def test_a_version_that_the_status_knows_keeps_its_number_where_its_record_is_gone() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.edit({"restartToken": "2"})
    lab.reconcile()
    lab.revisions.clear()
    lab.run_pod()
    lab.succeed(A)
    lab.reconcile()
    assert lab.status["adapter"]["version"] == 1
    assert list(lab.revisions) == ["support-bot-v1"]


@pytest.mark.parametrize(
    ("put", "method"),
    [
        ({}, "QLoRA"),
        ({"spec.quantization": {"type": "FP4"}}, "QLoRA"),
        ({"spec.quantization": {"type": "Int8"}}, "LoRA"),
        ({"spec.method": {"lora": {"weightDecomposition": "Enabled"}}}, "QDoRA"),
        ({"spec.quantization": {"type": "None"}, "spec.method": {"lora": {"weightDecomposition": "Enabled"}}}, "DoRA"),
        ({"spec.method": {"type": "IA3"}}, "IA3"),
    ],
)
def test_methods_have_the_names_that_people_use(put: dict[str, Any], method: str) -> None:
    assert common_method_name(AdapterTraining.parse(training_document(put)).spec) == method


def test_a_deleted_training_is_left_alone() -> None:
    lab = TrainingLab()
    lab.reconcile()
    lab.document["metadata"]["deletionTimestamp"] = format_time(lab.now)
    lab.edit({"hyperparameters": {"seed": 7}})
    assert lab.plan().is_empty


def test_a_status_of_a_newer_operator_is_left_alone() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.document["status"]["run"]["hashVersion"] = 99
    lab.reconcile()
    assert lab.reason == "InvalidSpec"
    assert "upgrade the operator" in lab.message
    assert lab.status["adapter"]["digest"] == A
    assert len(lab.posted) == 1


def test_a_new_operator_over_old_objects_starts_nothing_and_writes_nothing() -> None:
    lab = TrainingLab()
    published(lab, A)
    settings = lab.settings.to_dict() | {"images": {"trainer": "adapter-trainer:2", "server": "adapter-server:2"}}
    settings["deadlineSeconds"] = 60
    settings["baseModels"] = []
    settings["storage"] = {"root": "s3://elsewhere/x"}
    lab.settings = type(lab.settings).read(settings)
    lab.wait(10_000)
    assert lab.plan().is_empty


def test_where_the_status_was_lost_what_runs_is_stopped_and_numbers_go_on_from_jobs_and_versions() -> None:
    lab = TrainingLab()
    published(lab, A)
    lab.edit({"hyperparameters": {"seed": 7}})
    lab.reconcile()
    lab.run_pod()
    lab.reconcile()
    del lab.document["status"]
    lab.reconcile()
    assert lab.reason == "Stopping"
    assert "attempt 1 of run 2" in lab.message
    assert lab.status["versions"][0]["digest"] == A
    lab.keeps_ended_pods = True
    lab.end_pod(75)
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r3-a1"
    lab.run_pod()
    lab.succeed(B)
    lab.reconcile()
    assert lab.status["adapter"]["version"] == 2
