"""The shell: reads what is there, has the pure modules decide, and writes.

The status is written once a round, with the generation that was observed and with the revision annotation.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from adapter_devcluster.client import Change, Client
from adapter_devcluster.controllers import pod_state
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.deployments import revisions, scaling, status, templates
from adapter_devcluster.controllers.ownership import claim, namespace_is_terminating, possible_owners
from adapter_devcluster.controllers.replica_sets import REPLICA_SETS, min_ready_seconds, wanted_replicas
from adapter_devcluster.objects import (
    Key,
    Object,
    annotations_of,
    controller_of,
    copy,
    is_deleting,
    key,
    section,
    uid,
)
from adapter_devcluster.recorder import Recorder
from adapter_devcluster.selectors import label_selector
from adapter_devcluster.statuses import StatusError

DEPLOYMENTS: Final = "deployments.apps"
# Timestamps have whole seconds, so a deadline is looked at a little late.
_SKEW_SECONDS: Final = 1.0


class DeploymentController(Controller):
    """Rolls out, scales and reports on Deployments."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._recorder = Recorder(client, "deployment-controller")

    def start(self) -> None:
        """Watch Deployments, their ReplicaSets, ReplicaSets that nobody controls, and pods that go."""
        self.watch(DEPLOYMENTS)
        self.watch_owned(REPLICA_SETS, "Deployment")
        self.watch(REPLICA_SETS, self._offer_orphan)
        self.watch("pods", self._pod_gone)

    def _offer_orphan(self, change: Change) -> None:
        for item in possible_owners(self.client, DEPLOYMENTS, change):
            self.enqueue(item)

    def _pod_gone(self, change: Change) -> None:
        """Go on with a Deployment that waits for its old pods to end."""
        owner = controller_of(change.object)
        ended = change.type == "DELETED" or pod_state.is_terminal(change.object)
        if not ended or owner is None or owner.get("kind") != "ReplicaSet":
            return
        namespace = key(change.object)[0]
        replica_set = self.client.get(REPLICA_SETS, namespace, str(owner["name"]))
        above = controller_of(replica_set) if replica_set else None
        if above is not None and above.get("kind") == "Deployment":
            self.enqueue((namespace, str(above["name"])))

    def sync(self, item: Key) -> None:
        """Take the next step of a rollout, and write the status."""
        found = self.client.get(DEPLOYMENTS, *item)
        if found is None:
            return
        selector = label_selector(section(found, "spec", "selector"))
        replica_sets = claim(self.client, found, REPLICA_SETS, selector, self.client.list(REPLICA_SETS, item[0]))
        left = _Round(self.client, self._recorder, found, replica_sets).run()
        if left is not None:
            self.enqueue_after(item, max(left, 0.0) + _SKEW_SECONDS)


class _Round:
    """One round over one Deployment. ``deployment`` is a copy whose status and annotations change as it goes."""

    def __init__(self, client: Client, recorder: Recorder, found: Object, replica_sets: Sequence[Object]) -> None:
        self.client = client
        self.recorder = recorder
        self.found = found
        self.deployment = copy(found)
        self.now = dt.datetime.now(dt.UTC)
        self.new = templates.find_new(found, replica_sets)
        self.old = [one for one in replica_sets if one is not self.new]

    def run(self) -> float | None:
        """Take one step, and write the status. May raise StatusError.

        Returns the seconds until the deadline for progress, None where there is none.
        """
        if is_deleting(self.found):
            self.write_status(rollout=False)
            return None
        status.note_pause(self.deployment, self.now)
        self.number_new()
        if section(self.found, "spec").get("paused"):
            self.scale(scaling.rescale(self.found, self.new, self.old))
            self.clean_up()
            self.write_status(rollout=False)
            return None
        if scaling.was_rescaled(self.found, self.every()):
            self.scale(scaling.rescale(self.found, self.new, self.old))
            self.write_status(rollout=False)
        else:
            moved = self.roll() if scaling.is_rolling(self.found) else self.recreate()
            if not moved and status.is_complete(self.found):
                self.clean_up()
            self.write_status(rollout=True)
        return status.seconds_left(self.deployment, self.now)

    def every(self) -> list[Object]:
        """Return all ReplicaSets, the new one first."""
        return [*([self.new] if self.new else []), *self.old]

    def roll(self) -> bool:
        """Take one step of a rolling update. Returns whether something was scaled."""
        new = self.new or self.create_new()
        return self.scale(scaling.roll(self.found, new, self.old))

    def recreate(self) -> bool:
        """Scale the old ones to zero, wait until their pods have ended, then make the new ones."""
        if self.scale(scaling.empty(self.old)):
            return True
        if self.old_pods_run():
            return False
        new = self.new or self.create_new()
        return self.scale({key(new)[1]: wanted_replicas(self.found)})

    def old_pods_run(self) -> bool:
        """Whether pods of another template are left, those that are being deleted included."""
        if scaling.counted(self.old, "replicas"):
            return True
        old = {uid(one) for one in self.old}
        return any(
            (controller_of(pod) or {}).get("uid") in old and not pod_state.is_terminal(pod)
            for pod in self.client.list("pods", key(self.found)[0])
        )

    def number_new(self) -> None:
        """Bring annotations and minReadySeconds of the new ReplicaSet up to date, and note its revision."""
        if self.new is None:
            return
        annotations = revisions.new_annotations(self.found, self.new, self.old)
        seconds = min_ready_seconds(self.found)
        if annotations != annotations_of(self.new) or seconds != min_ready_seconds(self.new):
            changed = copy(self.new)
            changed["metadata"]["annotations"] = annotations
            changed["spec"]["minReadySeconds"] = seconds
            self.new = self.client.update(REPLICA_SETS, changed)
        self.note_revision(self.new)
        if pod_state.condition(self.deployment, "Progressing") is None:
            self.progressing("True", "FoundNewReplicaSet", f'Found new replica set "{key(self.new)[1]}"')

    def note_revision(self, new: Object) -> None:
        annotations = {**annotations_of(self.deployment), revisions.REVISION: str(revisions.revision(new))}
        self.deployment["metadata"]["annotations"] = annotations

    def progressing(self, state: str, reason: str, message: str) -> None:
        if status.deadline(self.found) is not None:
            status.set_condition(self.deployment, "Progressing", state, reason, message, self.now)

    def create_new(self) -> Object:
        """Create the ReplicaSet of the present template, as large as it may be at once."""
        wanted = templates.new_replica_set(self.deployment)
        size = scaling.size_of_new(self.found, wanted, self.old)
        wanted["spec"]["replicas"] = size
        wanted["metadata"]["annotations"] = {
            **revisions.new_annotations(self.found, wanted, self.old),
            **self.size_annotations(),
        }
        name = key(wanted)[1]
        try:
            self.new = self.client.create(REPLICA_SETS, wanted)
        except StatusError as error:
            self.creation_failed(name, error)
            raise
        if size:
            self.event("Normal", "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}")
        self.note_revision(self.new)
        self.progressing("True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
        return self.new

    def creation_failed(self, name: str, error: StatusError) -> None:
        """Note why there is no new ReplicaSet; a name that is taken leads to another one next time."""
        if error.reason == "AlreadyExists":
            count = int(section(self.deployment, "status").get("collisionCount") or 0)
            self.deployment.setdefault("status", {})["collisionCount"] = count + 1
            self.save()
        elif not namespace_is_terminating(error):
            message = f'Failed to create new replica set "{name}": {error}'
            self.progressing("False", "ReplicaSetCreateError", message)
            self.save()
            self.event("Warning", "ReplicaSetCreateError", message)

    def size_annotations(self) -> dict[str, str]:
        replicas = wanted_replicas(self.found)
        return revisions.size_annotations(replicas, replicas + scaling.max_surge(self.found))

    def scale(self, sizes: scaling.Sizes) -> bool:
        """Give ReplicaSets their sizes and note the Deployment's. Returns whether a size has changed."""
        scaled = {name: self.scale_one(name, size) for name, size in sizes.items()}
        return any(scaled.values())

    def scale_one(self, name: str, size: int) -> bool:
        present = next(one for one in self.every() if key(one)[1] == name)
        before = wanted_replicas(present)
        annotations = {**annotations_of(present), **self.size_annotations()}
        if before == size and annotations == annotations_of(present):
            return False
        changed = copy(present)
        changed["spec"]["replicas"] = size
        changed["metadata"]["annotations"] = annotations
        written = self.client.update(REPLICA_SETS, changed)
        if present is self.new:
            self.new = written
        self.old = [written if one is present else one for one in self.old]
        if before == size:
            return False
        direction = "up" if size > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {size}"
        self.event("Normal", "ScalingReplicaSet", message)
        return True

    def clean_up(self) -> None:
        """Delete what the revision history has no room for."""
        for one in revisions.surplus(self.found, self.old):
            self.client.delete(REPLICA_SETS, *key(one), uid=uid(one))

    def write_status(self, *, rollout: bool) -> None:
        """Write counts and conditions; progress is judged only while a ``rollout`` may be under way."""
        status.set_counts(self.deployment, self.new, self.old, self.now)
        if rollout:
            status.set_progress(self.deployment, self.found, self.new, self.old, self.now)
        self.save()

    def save(self) -> None:
        """Write the status and the revision, if one of them has changed."""
        parts = [(section(one, "status"), annotations_of(one)) for one in (self.deployment, self.found)]
        if parts[0] != parts[1]:
            self.client.update(DEPLOYMENTS, self.deployment, "status")

    def event(self, kind: str, reason: str, message: str) -> None:
        self.recorder.event(self.found, kind, reason, message)
