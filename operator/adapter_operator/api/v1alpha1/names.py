"""Names of every child object, in one place: deterministic, so that creating one twice is harmless.

Names of the two kinds are at most 40 characters, so that children, their pods and their labels fit 63.
"""

import re
from dataclasses import dataclass
from typing import Literal

HASH_CHARACTERS = 10


@dataclass(frozen=True)
class Child:
    """A kind of child, for the reference.

    Attributes:
        owner: kind of the parent.
        kind: kind of the child.
        pattern: its name; parts in angle brackets are filled in.
        purpose: what it is for.
    """

    owner: Literal["AdapterTraining", "AdapterDeployment"]
    kind: str
    pattern: str
    purpose: str


CHILDREN = (
    Child("AdapterTraining", "Job", "<name>-r<run>-preflight", "Checks data, model, output and memory on a CPU."),
    Child("AdapterTraining", "Job", "<name>-r<run>-a<attempt>", "One attempt of a run: one pod."),
    Child(
        "AdapterTraining",
        "ConfigMap",
        "<name>-r<run>-<hash>",
        "The run's TrainerConfig; immutable, shared by its attempts.",
    ),
    Child("AdapterTraining", "ControllerRevision", "<name>-v<version>", "A promoted version."),
    Child("AdapterTraining", "Job", "<name>-prune-<hash>", "Deletes versions that nothing uses."),
    Child("AdapterTraining", "Job", "<name>-delete", "Deletes all artifacts (deletionPolicy Delete); it has no owner."),
    Child("AdapterDeployment", "Deployment", "<name>", "The server's pods."),
    Child("AdapterDeployment", "Service", "<name>", "The OpenAI endpoint."),
    Child("AdapterDeployment", "ConfigMap", "<name>-set-<hash>", "The AdapterSet of the pods of one base and engine."),
    Child("AdapterDeployment", "PodDisruptionBudget", "<name>", "Keeps pods while nodes are drained."),
    Child("AdapterDeployment", "NetworkPolicy", "<name>", "Lets the operator alone reach the management port."),
    Child("AdapterDeployment", "HorizontalPodAutoscaler", "<name>", "Autoscaling of that type."),
    Child("AdapterDeployment", "ScaledObject", "<name>", "Autoscaling of type KEDA."),
)


def preflight_job(training: str, run: int) -> str:
    """Job that checks a run before it asks for a GPU."""
    return f"{training}-r{run}-preflight"


def attempt_job(training: str, run: int, attempt: int) -> str:
    """Job of one attempt."""
    return f"{training}-r{run}-a{attempt}"


def attempt_of_job(training: str, job: str) -> tuple[int, int] | None:
    """Numbers of run and attempt in a Job's name; the inverse of `attempt_job`."""
    match = re.fullmatch(rf"{re.escape(training)}-r([1-9][0-9]*)-a([1-9][0-9]*)", job)
    return None if match is None else (int(match[1]), int(match[2]))


def trainer_config_map(training: str, run: int, digest: str) -> str:
    """ConfigMap of a run's TrainerConfig, by the digest of its content."""
    return f"{training}-r{run}-{_short(digest)}"


def version_revision(training: str, version: int) -> str:
    """ControllerRevision of a promoted version."""
    return f"{training}-v{version}"


def prune_job(training: str, digest: str) -> str:
    """Job that deletes versions, by the digest of the list of what it deletes."""
    return f"{training}-prune-{_short(digest)}"


def deletion_job(training: str) -> str:
    """Job that deletes every artifact of a deleted training."""
    return f"{training}-delete"


def adapter_set_config_map(deployment: str, digest: str) -> str:
    """ConfigMap of the AdapterSet, by the digest of base and engine."""
    return f"{deployment}-set-{_short(digest)}"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:HASH_CHARACTERS]
