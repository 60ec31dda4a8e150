"""initializeFrom: resolved once, when the run starts."""

from typing import Any

import pytest

from adapter_contract.exit_codes import ExitCode
from adapter_contract.trainer_config import InitialAdapter, TrainerConfig
from adapter_testing.training_lab import TrainingLab, digest_of, training_document

pytestmark = pytest.mark.unit

A, B, C = digest_of("a"), digest_of("b"), digest_of("c")


def parent(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    document = training_document({f"spec.{key}": value for key, value in spec.items()}, name="base-bot", uid="uid-9")
    return document | ({"status": status} if status is not None else {})


def going_on_from(name: str, digest: str | None = None, trainings: dict[str, Any] | None = None) -> TrainingLab:
    reference = {"name": name} | ({"digest": digest} if digest else {})
    return TrainingLab({"spec.initializeFrom": {"training": reference}}, trainings=trainings)


def initial_adapter(lab: TrainingLab) -> InitialAdapter:
    document = lab.config_maps[lab.status["run"]["configMap"]]
    found = TrainerConfig.from_json(document["data"]["trainer-config.json"]).initialize_from
    assert found is not None
    return found


def test_the_newest_version_of_another_training() -> None:
    adapter = {"version": 2, "digest": A, "uri": "s3://elsewhere/base-bot/artifacts/x/"}
    output = {"s3": {"uri": "s3://elsewhere/", "credentialsSecretRef": {"name": "theirs"}}}
    lab = going_on_from("base-bot", trainings={"base-bot": parent({"adapter": adapter}, output=output)})
    lab.reconcile()
    found = initial_adapter(lab)
    assert (found.name, found.digest) == ("base-bot", A)
    assert found.location.uri == "s3://elsewhere/base-bot/artifacts/x/"
    assert found.location.credentials_directory == "/adapter/credentials/parent"
    assert lab.status["run"]["parentDigest"] == A
    volumes = lab.jobs["support-bot-r1-a1"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "credentials-parent", "secret": {"secretName": "theirs"}} in volumes


def test_a_held_version_is_found_in_the_status_or_by_the_layout() -> None:
    versions = [{"version": 1, "digest": A, "uri": "s3://old/place/"}]
    training = parent({"versions": versions, "adapter": {"version": 2, "digest": B}})
    lab = going_on_from("base-bot", A, {"base-bot": training})
    lab.reconcile()
    assert initial_adapter(lab).location.uri == "s3://old/place/"
    lab = going_on_from("base-bot", C, {"base-bot": training})
    lab.reconcile()
    layout = f"s3://adapters/root/lab/team-a/base-bot/artifacts/sha256-{'c' * 64}/"
    assert initial_adapter(lab).location.uri == layout


def test_a_training_without_an_adapter_is_waited_for() -> None:
    lab = going_on_from("base-bot", trainings={"base-bot": parent()})
    lab.reconcile()
    assert lab.reason == "WaitingForParent"
    assert lab.requeue_after == 30
    assert lab.posted == []
    lab.trainings["base-bot"]["status"] = {"adapter": {"version": 1, "digest": A, "uri": "s3://xyz/y/"}}
    lab.reconcile()
    assert lab.reason == "Starting"


def test_a_training_that_does_not_exist_or_cannot_be_read() -> None:
    lab = going_on_from("base-bot")
    lab.reconcile()
    assert lab.reason == "ReferenceNotFound"
    assert "there is no AdapterTraining base-bot" in lab.message
    lab.trainings["base-bot"] = parent(hyperparameters={"batchSize": 0})
    lab.reconcile()
    assert lab.reason == "ReferenceNotFound"
    assert "batchSize" in lab.message


def test_its_own_name_is_the_version_before_and_the_first_run_has_none() -> None:
    lab = going_on_from("support-bot")
    lab.reconcile()
    assert lab.reason == "ReferenceNotFound"
    assert "remove it for the first run" in lab.message
    lab.edit(remove=("initializeFrom",))
    lab.reconcile()
    lab.run_pod()
    lab.succeed(A)
    lab.reconcile()
    lab.edit({"initializeFrom": {"training": {"name": "support-bot"}}})
    lab.reconcile()
    found = initial_adapter(lab)
    assert (found.digest, found.location.uri) == (A, lab.status["adapter"]["uri"])
    lab.run_pod()
    lab.succeed(B)
    lab.reconcile()
    assert lab.reason == "Succeeded"
    assert lab.plan().is_empty


def test_the_parent_of_a_run_stays_what_it_was_when_the_run_started() -> None:
    training = parent({"adapter": {"version": 1, "digest": A, "uri": "s3://xyz/a/"}})
    lab = going_on_from("base-bot", trainings={"base-bot": training})
    lab.reconcile()
    training["status"]["adapter"] = {"version": 2, "digest": B, "uri": "s3://xyz/b/"}
    lab.run_pod()
    lab.fail(ExitCode.INTERRUPTED)
    lab.reconcile()
    assert initial_adapter(lab).digest == A
    del lab.trainings["base-bot"]
    lab.run_pod()
    lab.fail(ExitCode.INTERRUPTED)
    lab.reconcile()
    assert lab.posted[-1] == "support-bot-r1-a3"
    assert initial_adapter(lab).digest == A
