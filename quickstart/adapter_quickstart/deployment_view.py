"""A deployment as a user follows it, until it serves what is asked for."""

from collections.abc import Callable

from adapter_quickstart import conditions
from adapter_quickstart.conditions import Show
from adapter_quickstart.kubectl import JSON, Kubectl


class DeploymentFailed(RuntimeError):
    """The deployment asks for a person: it is Stalled."""


def follow(kubectl: Kubectl, name: str, show: Show, reached: Callable[[JSON], bool]) -> JSON:
    """Show a deployment's conditions until its status is as asked for, and return the status.

    Raises:
        DeploymentFailed: it stalled; the message is its condition's.
    """
    with conditions.follow(kubectl, "AdapterDeployment", name, show, DeploymentFailed) as statuses:
        return next(status for status in statuses if reached(status))


def pods_answer(status: JSON) -> bool:
    """Whether a pod is ready: the base model answers, also before any adapter is there."""
    return bool(status.get("readyReplicas", 0))


def serves(adapter: str, digest: str) -> Callable[[JSON], bool]:
    """Return a condition: all ready pods serve this version of the adapter, and the deployment is Ready."""

    def holds(status: JSON) -> bool:
        ready = conditions.ready_of(status)["status"] == "True"
        served = {one["name"]: one.get("servedDigest") for one in status.get("adapters", [])}
        return ready and served.get(adapter) == digest

    return holds
