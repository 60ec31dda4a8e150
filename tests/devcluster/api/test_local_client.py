"""Access from inside the server's process."""

from __future__ import annotations

import asyncio

import pytest

from adapter_devcluster.api.server import Api
from adapter_devcluster.client import Change

pytestmark = pytest.mark.integration


def test_a_watcher_that_fails_on_one_event_gets_those_after_it(caplog: pytest.LogCaptureFixture) -> None:
    async def watched() -> list[str]:
        client = Api().client()
        seen: list[str] = []
        done = asyncio.Event()

        def on_change(change: Change) -> None:
            name = change.object["metadata"]["name"]
            if name == "a":
                raise ValueError(name)
            seen.append(name)
            done.set()

        end = client.watch("namespaces", on_change)
        for name in "ab":
            client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        async with asyncio.timeout(5):
            await done.wait()
        end()
        client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "c"}})
        await asyncio.sleep(0)
        return seen

    assert asyncio.run(watched()) == ["b"]
    assert "a watcher failed" in caplog.text
