"""Leases: which version a request holds, and when nobody holds one any more."""

import asyncio

import pytest

from adapter_contract import engine_name
from adapter_server.sync.aliases import Aliases

pytestmark = pytest.mark.unit

OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def test_a_lease_keeps_its_version_over_a_switch() -> None:
    aliases = Aliases("base")
    aliases.serve("bot", OLD)
    before = aliases.lease("bot")
    aliases.serve("bot", NEW)
    after = aliases.lease("bot")
    assert before is not None
    assert after is not None
    assert (before.digest, before.adapter) == (OLD, engine_name("bot", OLD))
    assert (after.digest, after.adapter) == (NEW, engine_name("bot", NEW))
    assert dict(aliases.served) == {"bot": NEW}


def test_the_base_has_a_lease_without_a_version_and_others_have_none() -> None:
    aliases = Aliases("base")
    base = aliases.lease("base")
    assert base is not None
    assert (base.model, base.digest, base.adapter) == ("base", None, None)
    aliases.serve("bot", OLD)
    aliases.withdraw("bot")
    aliases.withdraw("bot")
    assert aliases.lease("bot") is None


def test_a_version_is_unused_when_its_last_lease_is_released() -> None:
    async def scenario() -> list[bool]:
        aliases = Aliases("base")
        aliases.serve("bot", OLD)
        leases = [aliases.lease("bot"), aliases.lease("bot")]
        aliases.serve("bot", NEW)
        waiting = asyncio.create_task(aliases.wait_unused("bot", OLD))
        done = []
        for lease in leases:
            await asyncio.sleep(0)
            done.append(waiting.done())
            assert lease is not None
            with lease:
                pass
            lease.release()
        await asyncio.wait_for(waiting, 5)
        await asyncio.wait_for(aliases.wait_unused("bot", OLD), 5)
        return done

    assert asyncio.run(scenario()) == [False, False]
