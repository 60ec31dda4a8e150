"""What pods of the operator's laboratory say, and steps that many stories share."""

from __future__ import annotations

from datetime import UTC, datetime

from adapter_contract.adapter_set import AdapterReport, AdapterSet, AdapterState, AdapterStatus, EngineFacts
from adapter_contract.exit_codes import ExitCode
from adapter_contract.progress import Phase, Progress
from adapter_contract.trainer_result import TrainerResult
from adapter_testing.operator_lab import OperatorLab

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


def digest(letter: str) -> str:
    """A digest that is easy to tell from another."""
    return f"sha256:{letter * 64}"


def progress(step: int, *, run: int = 1, attempt: int = 1, total: int = 10) -> Progress:
    """What a trainer says after a step."""
    return Progress(
        run=run,
        attempt=attempt,
        phase=Phase.TRAINING,
        step=step,
        total_steps=total,
        percent=100 * step // total,
        loss=2.0,
        updated_time=datetime.now(UTC),
    )


def result(letter: str, *, run: int = 1, attempt: int = 1) -> bytes:
    """The termination message of a trainer that has published an adapter."""
    return TrainerResult(
        run=run, attempt=attempt, exit_code=ExitCode.DONE, digest=digest(letter), metrics={"Loss": "1.2"}
    ).to_termination_message()


def train(lab: OperatorLab, name: str, letter: str, *, run: int = 1) -> None:
    """Let a training's next pod run, publish an adapter and end; returns when the training is ready."""
    pod = lab.pod_of(f"{name}-r{run}-a1")
    lab.run_pod(pod)
    lab.finish_pod(pod, 0, result(letter, run=run))
    lab.until(lambda: lab.status("AdapterTraining", name).get("adapter", {}).get("digest") == digest(letter))
    lab.until(lambda: lab.ready("AdapterTraining", name) == "True")


def mounted_set(lab: OperatorLab, pod: str) -> AdapterSet:
    """The AdapterSet that a server pod mounts, as it is now."""
    found = lab.get("Pod", pod)
    assert found is not None, f"there is no pod {pod}"
    names = [(one.get("configMap") or {}).get("name", "") for one in found["spec"]["volumes"]]
    name = next(one for one in names if "-set-" in one)
    content = lab.get("ConfigMap", name)
    assert content is not None, f"there is no config map {name}"
    return AdapterSet.from_json(content["data"]["adapter-set.json"])


def serve(lab: OperatorLab, pod: str) -> AdapterSet:
    """Let a server pod say that it serves all that its set asks for; returns the set."""
    found = mounted_set(lab, pod)
    statuses = tuple(
        AdapterStatus(
            name=entry.name,
            state=AdapterState.SERVED if entry.digest else AdapterState.WAITING,
            desired_digest=entry.digest,
            served_digest=entry.digest,
            since=datetime.now(UTC),
        )
        for entry in found.adapters
    )
    engine = EngineFacts(
        type="Transformers", version="0.1.0", base_model_name=BASE, base_digest=digest("b"), max_rank=64
    )
    report = AdapterReport(
        contract_version=1, generation=found.generation, ready=True, engine=engine, adapters=statuses
    )
    lab.say(pod, report)
    return found


def wanted_digest(lab: OperatorLab, pod: str, adapter: str) -> str | None:
    """The digest that a pod's set asks for."""
    return next((one.digest for one in mounted_set(lab, pod).adapters if one.name == adapter), None)
