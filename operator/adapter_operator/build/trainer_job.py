"""The Job of one attempt: one pod that is never restarted. What follows its end is the operator's to decide."""

from dataclasses import dataclass
from typing import Any, Final

from adapter_contract.pods import ATTEMPT as ATTEMPT_VARIABLE
from adapter_contract.pods import MANAGEMENT_PORT, TRAINER_CONFIG_FILE
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.labels import ATTEMPT, RUN, SETTINGS_HASH, SPEC_HASH
from adapter_operator.api.v1alpha1.names import attempt_job
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.build.metadata import child_metadata
from adapter_operator.build.mounts import Mounts, mounted
from adapter_operator.build.pod_template import Program, pod_template
from adapter_operator.build.trainer_config import CONFIG_KEY

JSON = dict[str, Any]

LEAST_TTL_SECONDS: Final = 300
"""A finished Job stays at least so long: its pod holds the result until the operator has read it."""

_CONFIG_DIRECTORY: Final = "/adapter/config"


@dataclass(frozen=True)
class AttemptJob:
    """What tells one attempt's Job from another's.

    Attributes:
        run: number of the run.
        attempt: number of the attempt in it.
        spec_hash: the identity that the run trains.
        settings_hash: of the settings that the Job is made with.
        image: of the trainer.
        config_map: name of the run's configuration.
        mounts: what the inputs and the output need.

    """

    run: int
    attempt: int
    spec_hash: str
    settings_hash: str
    image: str
    config_map: str
    mounts: Mounts


def trainer_job(training: AdapterTraining, attempt: AttemptJob, settings: OperatorSettings) -> JSON:
    """The manifest to create once.

    The Job has no deadline of its own: it would count one attempt, and waiting for a node too.
    """
    numbers = {RUN: str(attempt.run), ATTEMPT: str(attempt.attempt)}
    config = {"configMap": {"name": attempt.config_map, "items": [{"key": CONFIG_KEY, "path": CONFIG_KEY}]}}
    program = Program(
        component="trainer",
        image=attempt.image,
        environment={
            TRAINER_CONFIG_FILE: f"{_CONFIG_DIRECTORY}/{CONFIG_KEY}",
            ATTEMPT_VARIABLE: str(attempt.attempt),
        },
        mounts=mounted("config", config, _CONFIG_DIRECTORY) + attempt.mounts,
        ports=({"name": "management", "containerPort": MANAGEMENT_PORT, "protocol": "TCP"},),
    )
    template = pod_template(
        training,
        program,
        pod=training.spec.pod,
        defaults=settings.pods.trainer,
        restart_policy="Never",
        labels=numbers,
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": child_metadata(
            training,
            attempt_job(training.metadata.name, attempt.run, attempt.attempt),
            labels=numbers,
            annotations={SPEC_HASH: attempt.spec_hash, SETTINGS_HASH: attempt.settings_hash},
        ),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "template": template,
            "ttlSecondsAfterFinished": max(training.spec.job_ttl_seconds_after_finished, LEAST_TTL_SECONDS),
        },
    }
