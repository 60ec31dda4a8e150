"""A training as a user follows it: its conditions by `kubectl get --watch`, its progress by `kubectl logs`."""

import threading
from collections.abc import Callable

from adapter_contract import ContractError, Progress
from adapter_quickstart import conditions
from adapter_quickstart.conditions import Show
from adapter_quickstart.kubectl import JSON, Kubectl

OnProgress = Callable[[Progress], None]


class TrainingFailed(RuntimeError):
    """The training asks for a person: it is Stalled."""


def follow(
    kubectl: Kubectl, name: str, show: Show, *, after_version: int = 0, on_progress: OnProgress = lambda _: None
) -> JSON:
    """Show a training's progress until its adapter is published, and return its status.

    Args:
        kubectl: for its namespace.
        name: of the AdapterTraining.
        show: prints a line.
        after_version: versions up to this one are there already.
        on_progress: is told of each report of the trainer.

    Raises:
        TrainingFailed: it stalled; the message is its condition's.
    """
    logs: dict[str, threading.Thread] = {}
    with conditions.follow(kubectl, "AdapterTraining", name, show, TrainingFailed) as statuses:
        for status in statuses:
            ready = conditions.ready_of(status)
            if ready["status"] == "True" and status.get("adapter", {}).get("version", 0) > after_version:
                break
            job = status.get("run", {}).get("job")
            if ready["reason"] in {"Starting", "Training", "Evaluating", "Uploading"} and job and job not in logs:
                logs[job] = threading.Thread(target=_follow_log, args=(kubectl, job, show, on_progress))
                logs[job].start()
    for thread in logs.values():
        thread.join()
    return status


def _follow_log(kubectl: Kubectl, job: str, show: Show, on_progress: OnProgress) -> None:
    with kubectl.following("logs", f"job/{job}", "--follow", "--pod-running-timeout=60s") as lines:
        for line in lines:
            progress = _progress(line)
            if progress is not None:
                on_progress(progress)
                show(f"  {job}  {describe(progress)}")


def _progress(line: str) -> Progress | None:
    """Read a line of the trainer's log, which holds other lines as well."""
    try:
        return Progress.from_json(line)
    except ContractError:
        return None


def describe(progress: Progress) -> str:
    """Return one line for people."""
    parts = [f"{progress.phase.value:<10}"]
    if progress.total_steps:
        parts.append(f"step {progress.step}/{progress.total_steps}")
    if progress.percent is not None:
        parts.append(f"{progress.percent:3d} %")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.eval_loss is not None:
        parts.append(f"held-out loss {progress.eval_loss:.3f}")
    if progress.tokens_per_second is not None:
        parts.append(f"{progress.tokens_per_second:.0f} tokens/s")
    if progress.estimated_remaining_seconds:
        parts.append(f"about {progress.estimated_remaining_seconds} s left")
    return "  ".join(parts)
