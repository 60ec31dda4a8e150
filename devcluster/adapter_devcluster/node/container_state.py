"""What is known of one container of a pod: a ``ContainerStatus`` in the making."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final, Literal

from adapter_devcluster.objects import Object, section

ContainerKind = Literal["init", "sidecar", "main"]

CREATING: Final = "ContainerCreating"
INITIALIZING: Final = "PodInitializing"


@dataclass(slots=True)
class ContainerState:
    """The state of a container. ``state`` has one key: waiting, running or terminated."""

    spec: Object
    kind: ContainerKind
    state: Object
    last_state: Object = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    container_id: str = ""

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    def wait(self, reason: str, message: str = "") -> None:
        """It does not run, for this reason; what it was before is its last state."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self.ready = self.started = False

    def run(self, started_at: str, *, started: bool, ready: bool) -> None:
        """It runs."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"running": {"startedAt": started_at}}
        self.started, self.ready = started, ready

    def terminate(self, started_at: str, finished_at: str, exit_code: int, reason: str, message: str) -> None:
        """It has ended."""
        self.state = {
            "terminated": {
                "exitCode": exit_code,
                "reason": reason,
                **({"message": message} if message else {}),
                "startedAt": started_at,
                "finishedAt": finished_at,
                "containerID": self.container_id,
            }
        }
        self.started = False
        self.ready = self.kind == "init" and exit_code == 0

    def new_id(self) -> None:
        """Note that a new container is made."""
        self.container_id = f"devcluster://{secrets.token_hex(32)}"

    @property
    def exit_code(self) -> int | None:
        """How it ended; None where it has not."""
        found = section(self.state, "terminated").get("exitCode")
        return None if found is None else int(found)

    def status(self) -> Object:
        """Return the ``ContainerStatus``."""
        image = str(self.spec.get("image") or "")
        known = bool(self.container_id)
        return {
            "name": self.name,
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "restartCount": self.restart_count,
            "image": image,
            "imageID": f"devcluster://{image}" if known else "",
            **({"containerID": self.container_id} if known else {}),
            "started": self.started,
        }


def container_states(spec: Object) -> list[ContainerState]:
    """Return the containers of a pod before anything has run: init containers and sidecars first."""
    inits = spec.get("initContainers") or []
    first = INITIALIZING if inits else CREATING
    found = []
    for one in inits:
        kind: ContainerKind = "sidecar" if one.get("restartPolicy") == "Always" else "init"
        found.append(ContainerState(one, kind, {"waiting": {"reason": INITIALIZING}}))
    return found + [ContainerState(one, "main", {"waiting": {"reason": first}}) for one in spec["containers"]]
