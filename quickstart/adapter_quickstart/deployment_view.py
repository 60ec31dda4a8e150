"""A deployment as a user follows it, until it serves what is asked for."""

from collections.abc import Callable

from adapter_quickstart.kubectl import JSON, Kubectl

Show = Callable[[str], None]


class DeploymentFailed(RuntimeError):
    """The deployment asks for a person: it is Stalled."""


def follow(kubectl: Kubectl, name: str, show: Show, reached: Callable[[JSON], bool]) -> JSON:
    """Show a deployment's conditions until its status is as asked for, and return the status.

    Raises:
        DeploymentFailed: it stalled; the message is its condition's.
    """
    said = ""
    with kubectl.watch("adapterdeployment", name) as states:
        for state in states:
            status: JSON = state.get("status", {})
            conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
            if status.get("observedGeneration") != state["metadata"]["generation"] or "Ready" not in conditions:
                continue
            line = f"{conditions['Ready']['reason']}: {conditions['Ready']['message']}"
            if line != said:
                said = line
                show(line)
            if "Stalled" in conditions:
                raise DeploymentFailed(f"AdapterDeployment {name}: {line}")
            if reached(status):
                return status
    raise DeploymentFailed(f"AdapterDeployment {name}: the watch ended too early")


def pods_answer(status: JSON) -> bool:
    """Whether a pod is ready: the base model answers, also before any adapter is there."""
    return bool(status.get("readyReplicas", 0))


def serves(adapter: str, digest: str) -> Callable[[JSON], bool]:
    """Return a condition: all ready pods serve this version of the adapter, and the deployment is Ready."""

    def holds(status: JSON) -> bool:
        ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status["conditions"])
        served = {one["name"]: one.get("servedDigest") for one in status.get("adapters", [])}
        return ready and served.get(adapter) == digest

    return holds
