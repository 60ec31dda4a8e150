"""A training on the embedded cluster: with the real Job controller, garbage collector and API server."""

from collections.abc import Iterator

import pytest

from adapter_contract.exit_codes import ExitCode
from adapter_operator.api.v1alpha1.conditions import violations
from adapter_testing.manifests import changed, example
from adapter_testing.operator_lab import OperatorLab
from adapter_testing.training_lab import digest_of, trainer_result

pytestmark = pytest.mark.integration

KIND, BOT = "AdapterTraining", "support-bot"
TRAINING = example("minimal", KIND)


@pytest.fixture
def lab() -> Iterator[OperatorLab]:
    with OperatorLab() as found:
        yield found
        stored = found.get(KIND, BOT)
        assert stored is not None
        assert violations("AdapterTraining", stored["status"], stored["metadata"]["generation"]) == []
    assert found.complaints == []


def finish(
    lab: OperatorLab, run: int, attempt: int, *, digest: str | None = None, code: ExitCode | None = None
) -> None:
    """Let the pod of an attempt run and end."""
    pod = lab.pod_of(f"{BOT}-r{run}-a{attempt}")
    lab.run_pod(pod)
    fields = {} if code is None else {"exit_code": code, "message": "it failed"}
    result = trainer_result(run, attempt, digest, **fields)
    lab.finish_pod(pod, int(result.exit_code), result.to_termination_message())


def test_interrupted_suspended_resumed_published(lab: OperatorLab) -> None:
    lab.apply(TRAINING)
    finish(lab, 1, 1, code=ExitCode.INTERRUPTED)
    lab.run_pod(lab.pod_of(f"{BOT}-r1-a2"))
    lab.sigterm_message = trainer_result(1, 2, exit_code=ExitCode.INTERRUPTED).to_termination_message()
    lab.change(KIND, BOT, {"spec": {"suspend": True}})
    lab.until(lambda: lab.reason(KIND, BOT) == "Suspended")
    lab.at_rest()
    assert lab.names("Job") == [f"{BOT}-r1-a1"]
    lab.change(KIND, BOT, {"spec": {"suspend": False}})
    finish(lab, 1, 3, digest=digest_of("a"))
    lab.until(lambda: lab.ready(KIND, BOT) == "True")
    lab.at_rest()
    outcomes = [(one["number"], one["outcome"]) for one in lab.status(KIND, BOT)["attempts"]]
    assert outcomes == [(1, "Interrupted"), (2, "Stopped"), (3, "Succeeded")]
    assert len(lab.names("ConfigMap")) == 1


def test_an_edit_replaces_the_running_job_and_an_invalid_one_is_told_without_stopping_it(lab: OperatorLab) -> None:
    lab.apply(TRAINING)
    lab.run_pod(lab.pod_of(f"{BOT}-r1-a1"))
    lab.change(KIND, BOT, {"spec": {"queue": {"name": "team-a"}}})
    lab.until(lambda: lab.reason(KIND, BOT) == "InvalidSpec")
    assert lab.names("Job") == [f"{BOT}-r1-a1"]
    lab.change(KIND, BOT, {"spec": {"queue": None, "hyperparameters": {"seed": 7}}})
    lab.until(lambda: lab.names("Job") == [f"{BOT}-r2-a1"])
    finish(lab, 2, 1, digest=digest_of("b"))
    lab.until(lambda: lab.ready(KIND, BOT) == "True")
    lab.until(lambda: len(lab.names("ConfigMap")) == 1)


def test_a_failed_run_gets_new_attempts_when_its_settings_change(lab: OperatorLab) -> None:
    lab.apply(changed(TRAINING, {"spec.retries": {"failure": 0}}))
    finish(lab, 1, 1, code=ExitCode.OUT_OF_MEMORY)
    lab.until(lambda: lab.reason(KIND, BOT) == "OutOfMemory")
    lab.change(KIND, BOT, {"spec": {"pod": {"resources": {"limits": {"memory": "32Gi"}}}}})
    finish(lab, 1, 2, digest=digest_of("a"))
    lab.until(lambda: lab.ready(KIND, BOT) == "True")


def test_the_record_of_a_version_can_still_be_marked(lab: OperatorLab) -> None:
    lab.apply(TRAINING)
    finish(lab, 1, 1, digest=digest_of("a"))
    lab.until(lambda: lab.ready(KIND, BOT) == "True")
    marked = lab.change("ControllerRevision", f"{BOT}-v1", {"metadata": {"annotations": {"adapters.dev/marked": "x"}}})
    assert marked["data"]["digest"] == digest_of("a")
