"""An object of ours as a user follows it: what its conditions say of its newest generation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapter_quickstart.kubectl import JSON, Kubectl

Show = Callable[[str], None]


@contextmanager
def follow(kubectl: Kubectl, kind: str, name: str, show: Show, stalled: type[Exception]) -> Iterator[Iterator[JSON]]:
    """Show what Ready says each time that it says something else, and yield the statuses.

    Args:
        kubectl: for its namespace.
        kind: of the object.
        name: of the object.
        show: prints a line.
        stalled: raised, with the condition's words, where the object asks for a person, or where the watch ends.
    """
    with kubectl.watch(kind.lower(), name) as states:
        yield _statuses(f"{kind} {name}", states, show, stalled)


def _statuses(title: str, states: Iterator[JSON], show: Show, stalled: type[Exception]) -> Iterator[JSON]:
    said = ""
    for state in states:
        status: JSON = state.get("status", {})
        types = {condition["type"] for condition in status.get("conditions", [])}
        if status.get("observedGeneration") != state["metadata"]["generation"] or "Ready" not in types:
            continue
        line = f"{ready_of(status)['reason']}: {ready_of(status)['message']}"
        if line != said:
            said = line
            show(line)
        if "Stalled" in types:
            raise stalled(f"{title}: {line}")
        yield status
    raise stalled(f"{title}: the watch ended too early")


def ready_of(status: JSON) -> JSON:
    """Return the condition Ready, which must be there."""
    ready: JSON = next(condition for condition in status["conditions"] if condition["type"] == "Ready")
    return ready
