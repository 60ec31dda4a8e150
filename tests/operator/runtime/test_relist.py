"""Lists beside the watches: now and then, soon on request, and again after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest

from adapter_devcluster.serving.faults import CallFault, FaultPlan
from adapter_operator.runtime.client import ApiClient
from adapter_operator.runtime.objects import owner_uids, uid_of
from adapter_operator.runtime.relist import Relisting
from adapter_operator.runtime.resources import CONFIG_MAPS, JOBS
from adapter_operator.runtime.store import Change, Store
from adapter_testing.api_client_lab import ApiClientLab, config_map

pytestmark = pytest.mark.integration


def play(
    api: ApiClientLab,
    acts: Callable[[ApiClient, Relisting, asyncio.Queue[Change]], Awaitable[None]],
    *,
    every_seconds: float = 600.0,
    namespaces: Sequence[str] = ("",),
) -> Store:
    """Play a scene while a Relisting runs that watches config maps with the label `relist`."""

    async def scene(client: ApiClient) -> Store:
        changes: asyncio.Queue[Change] = asyncio.Queue()
        store = Store(owner_uids, changes.put_nowait)
        relisting = Relisting(
            client,
            store,
            watched=((CONFIG_MAPS, "relist=yes"), (JOBS, "")),
            namespaces=namespaces,
            every_seconds=every_seconds,
        )
        running = asyncio.create_task(relisting.run())
        try:
            async with asyncio.timeout(10):
                await acts(client, relisting, changes)
        finally:
            running.cancel()
            await asyncio.wait({running})
        return store

    return api.play(scene)


def listed(api: ApiClientLab, plural: str) -> int:
    return sum(one.verb == "list" and f"/{plural}?" in one.uri for one in api.cluster.audit())


def test_what_no_event_told_of_is_found(api: ApiClientLab) -> None:
    async def acts(client: ApiClient, relisting: Relisting, changes: asyncio.Queue[Change]) -> None:
        made = await client.create(config_map("relist-made", labels={"relist": "yes"}))
        await client.create(config_map("relist-other"))
        found = await changes.get()
        assert (found.before, uid_of(found.object)) == (None, uid_of(made))
        await client.delete(CONFIG_MAPS, "default", "relist-made", uid=uid_of(made), propagation="Background")
        gone = await changes.get()
        assert (uid_of(gone.object), gone.after) == (uid_of(made), None)

    assert play(api, acts, every_seconds=0.05).count() == {}


def test_many_requests_make_one_list_of_that_kind(api: ApiClientLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter_operator.runtime.relist._SOON_SECONDS", 0.05)
    before = (listed(api, "configmaps"), listed(api, "jobs"))

    async def acts(client: ApiClient, relisting: Relisting, changes: asyncio.Queue[Change]) -> None:
        await client.create(config_map("relist-soon", labels={"relist": "yes"}))
        await asyncio.sleep(0.01)
        for _ in range(20):
            relisting.request(CONFIG_MAPS)
        await changes.get()
        await asyncio.sleep(0.15)

    play(api, acts)
    assert (listed(api, "configmaps") - before[0], listed(api, "jobs") - before[1]) == (1, 0)


def test_a_list_that_fails_is_made_again(
    api: ApiClientLab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("adapter_operator.runtime.relist._RETRY_SECONDS", 0.05)
    failing = CallFault(verbs=("list",), resources=("configmaps",), times=2, code=500)
    api.cluster.set_faults(FaultPlan(calls=(failing,)))

    async def acts(client: ApiClient, relisting: Relisting, changes: asyncio.Queue[Change]) -> None:
        await client.create(config_map("relist-fails", labels={"relist": "yes"}))
        await changes.get()

    with caplog.at_level(logging.INFO):
        play(api, acts, every_seconds=0.05)
    assert caplog.text.count("configmaps can't be listed, again in 0 s") == 2
    assert "a list of configmaps shows" in caplog.text


def test_only_the_namespaces_that_are_ours(api: ApiClientLab) -> None:
    before = len(api.cluster.audit())

    async def acts(client: ApiClient, relisting: Relisting, changes: asyncio.Queue[Change]) -> None:
        await client.create(config_map("relist-here", labels={"relist": "yes"}))
        await changes.get()

    play(api, acts, every_seconds=0.05, namespaces=("default", "kube-system"))
    lists = {one.uri.partition("?")[0] for one in api.cluster.audit()[before:] if one.verb == "list"}
    assert lists <= {
        f"{root}/namespaces/{namespace}/{plural}"
        for root, plural in (("/api/v1", "configmaps"), ("/apis/batch/v1", "jobs"))
        for namespace in ("default", "kube-system")
    }
    assert "/api/v1/namespaces/kube-system/configmaps" in lists
