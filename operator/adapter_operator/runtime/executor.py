"""Carries a plan out, in an order in which every crash in between is harmless.

Creations first, so that what a Job mounts exists; then the status, on the resource version that the plan was made from;
then the fenced Job, which the status knows by then; then what is applied, deleted and nudged; at last events. What the
server returns goes into the store, so that the next plan is never made from less than we know.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from itertools import filterfalse
from typing import Final, Literal, Self

from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NamespaceTerminating,
    NotFound,
)
from adapter_operator.runtime.event_recorder import EventRecorder
from adapter_operator.runtime.objects import (
    Object,
    controller_uid,
    is_being_deleted,
    key_of,
    uid_of,
    version_of,
)
from adapter_operator.runtime.plan_shape import DeletionLike, FencedLike, NudgeLike, PlanLike
from adapter_operator.runtime.resources import JOBS, PODS, Resources
from adapter_operator.runtime.store import Store

_LOG = logging.getLogger(__name__)

FENCE_SECONDS: Final = 5.0
"""After so many seconds a fence that was closed is tried again; its pods and Jobs usually wake us earlier."""


class NameTaken(Exception):
    """What was to be created exists and is another thing. `live` is what is there: plan again with it in view."""

    def __init__(self, live: Object) -> None:
        self.live = live
        super().__init__(f"{key_of(live)} exists and is not what was to be created")


@dataclass(frozen=True)
class ChildRefused:
    """The event that tells people that the server refused a child."""

    message: str
    type: Literal["Normal", "Warning"] = "Warning"
    reason: str = "ChildRefused"

    @classmethod
    def of(cls, manifest: Object, error: ApiError) -> Self:
        """Say which child, and why."""
        return cls(f"{manifest['kind']} {manifest['metadata']['name']}: {error}")


class Executor:
    """Carries plans out for one operator."""

    def __init__(self, client: ApiClient, store: Store, resources: Resources, recorder: EventRecorder) -> None:
        self._client = client
        self._store = store
        self._resources = resources
        self._recorder = recorder

    async def unseen(self, plan: PlanLike, known: Iterable[Object] = ()) -> list[Object]:
        """Return live objects whose names a plan is going to write and that it can't have been made from.

        Watches show our own objects only, so an object of somebody else shows here; plan again with it in view.

        Args:
            plan: about to be carried out.
            known: what was found before.

        """
        seen = {(key_of(one), uid_of(one)) for one in known}
        wanted = [*plan.apply, *((plan.fenced.manifest,) if plan.fenced else ())]
        unknown = [one for one in wanted if self._store.get(*key_of(one)) is None]
        live = await asyncio.gather(*(self._client.find(self._resources.of(one), *key_of(one)[1:]) for one in unknown))
        return [one for one in live if one is not None and (key_of(one), uid_of(one)) not in seen]

    async def execute(self, owner: Object, plan: PlanLike) -> float | None:
        """Carry a plan out.

        Args:
            owner: the resource that the plan was made for, as it was then.
            plan: what to do.

        Returns:
            Seconds until the owner is to be looked at again, or None.

        Raises:
            NameTaken: before anything that the plan says of the owner was written.
            Conflict: the owner is no longer the one that the plan was made for.
            ApiError: the first that was not expected; what came before stays done. Where the server refuses what is
                applied, the rest of the plan is carried out all the same.

        """
        for manifest in plan.create:
            await self._create(owner, manifest)
        fresh = await self._write_status(owner, plan.status)
        requeue = plan.requeue_after
        if plan.fenced is not None and not await self._create_fenced(owner, plan.fenced, fresh=fresh):
            requeue = FENCE_SECONDS if requeue is None else min(requeue, FENCE_SECONDS)
        refusal = await self._apply(owner, plan.apply)
        for deletion in plan.delete:
            await self._delete(deletion)
        for nudge in plan.nudge:
            await self._nudge(owner, nudge)
        for event in plan.events:
            await self._recorder.post(owner, event)
        if refusal is not None:
            raise refusal
        return requeue

    async def _apply(self, owner: Object, manifests: Iterable[Object]) -> ApiError | None:
        """Apply all; returns the first refusal: one child that can't be had keeps none of the others waiting."""
        first = None
        for manifest in manifests:
            try:
                self._store.put(await self._tell_of_refusal(owner, manifest, self._client.apply(manifest)))
            except NamespaceTerminating:
                raise
            except (Forbidden, Invalid) as error:
                first = first or error
        return first

    async def _create(self, owner: Object, manifest: Object) -> None:
        try:
            self._store.put(await self._tell_of_refusal(owner, manifest, self._client.create(manifest)))
        except AlreadyExists:
            live = await self._client.get(self._resources.of(manifest), *key_of(manifest)[1:])
            if controller_uid(live) != uid_of(owner) or not _has_content_of(live, manifest):
                raise NameTaken(live) from None
            self._store.put(live)

    async def _write_status(self, owner: Object, status: Object | None) -> bool:
        """Write the status where it differs; returns whether it was written, which proves that the owner was fresh."""
        if status is None or status == owner.get("status"):
            return False
        try:
            written = await self._client.replace_status(owner, status)
        except (Conflict, NotFound):
            await self._look_again(owner)
            raise
        self._store.put(written)
        if written.get("status") != status:
            _LOG.error("%s: the server keeps another status than was written: do its CRDs fit?", key_of(owner))
        return True

    async def _look_again(self, owner: Object) -> None:
        """Take in the owner as it is now, so that the next plan is not made from what was refused."""
        live = await self._client.find(self._resources.of(owner), *key_of(owner)[1:])
        if live is None or uid_of(live) != uid_of(owner):
            self._store.remove(owner)
        if live is not None:
            self._store.put(live)

    async def _create_fenced(self, owner: Object, fenced: FencedLike, *, fresh: bool) -> bool:
        """Create a Job unless something that matches its selector is alive; returns whether it is there now."""
        if not fresh:
            live = await self._client.get(self._resources.of(owner), *key_of(owner)[1:])
            if uid_of(live) != uid_of(owner) or version_of(live) != version_of(owner):
                await self._look_again(owner)
                raise Conflict(f"{key_of(owner)} has changed: no Job is created for what it was")
        manifest = fenced.manifest
        namespace = manifest["metadata"]["namespace"]
        # Jobs first: once a Job is gone it makes no pods, so the pods listed after it are all there will be.
        jobs = (await self._client.list(JOBS, namespace, label_selector=fenced.selector)).items
        pods = (await self._client.list(PODS, namespace, label_selector=fenced.selector)).items
        for one in (*jobs, *pods):
            self._store.put(one)
        if any(key_of(job) == key_of(manifest) and controller_uid(job) == uid_of(owner) for job in jobs):
            return True
        alive = [*filterfalse(_is_finished, jobs), *filterfalse(_is_terminal, pods)]
        if alive:
            _LOG.info("%s: %s is not created while %s is alive", key_of(owner), key_of(manifest), key_of(alive[0]))
            return False
        try:
            created = await self._tell_of_refusal(owner, manifest, self._client.create(manifest))
        except AlreadyExists:
            raise NameTaken(await self._client.get(JOBS, *key_of(manifest)[1:])) from None
        self._store.put(created)
        return True

    async def _delete(self, deletion: DeletionLike) -> None:
        kind = self._resources.find(deletion.api_version, deletion.kind)
        namespace, name, uid = deletion.namespace, deletion.name, deletion.uid
        metadata = {"namespace": namespace, "name": name, "uid": uid}
        gone = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        try:
            answer = await self._client.delete(kind, namespace, name, uid=uid, propagation=deletion.propagation)
        except (NotFound, Conflict):
            # Another object may have the name by now: that one is gone all the same.
            self._store.remove(gone)
        else:
            if answer["kind"] == kind.kind and is_being_deleted(answer):
                self._store.put(answer)
            else:
                self._store.remove(gone)

    async def _nudge(self, owner: Object, nudge: NudgeLike) -> None:
        namespace = owner["metadata"]["namespace"]
        pod = self._store.get(PODS.kind, namespace, nudge.name)
        if pod is None or uid_of(pod) != nudge.uid:
            return
        patch = {"metadata": {"annotations": dict(nudge.annotations)}}
        try:
            self._store.put(
                await self._client.merge_patch(PODS, namespace, nudge.name, patch, subresource="status"),
            )
        except NotFound:
            self._store.remove(pod)

    async def _tell_of_refusal(self, owner: Object, manifest: Object, write: Awaitable[Object]) -> Object:
        """Wait for a write; where the server refuses it for good reasons, people must hear of them."""
        try:
            return await write
        except NamespaceTerminating:
            raise
        except (Forbidden, Invalid) as error:
            await self._recorder.post(owner, ChildRefused.of(manifest, error))
            raise


def _has_content_of(live: Object, manifest: Object) -> bool:
    """Whether an object has everything but the metadata of a manifest as it stands there."""
    return all(live.get(name) == value for name, value in manifest.items() if name != "metadata")


def _is_finished(job: Object) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions)


def _is_terminal(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
