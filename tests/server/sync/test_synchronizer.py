"""The synchronizer with a real engine, where what goes wrong can't be brought about from outside of the process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from adapter_contract import AdapterSet, AdapterState, AdapterStatus, S3Location, sha256_bytes
from adapter_server.changes import Changes
from adapter_server.engines.transformers import TransformersEngine
from adapter_server.sync.aliases import Aliases
from adapter_server.sync.cache import AdapterCache, DownloadGivenUp
from adapter_server.sync.synchronizer import Synchronizer
from adapter_testing.engine_lab import change_config, engine_settings, publish_lora, seal, started
from adapter_testing.processes import wait_until
from adapter_testing.server_lab import Shelf, Things, Version, entry
from adapter_testing.trainer_lab import BASE_NAME

pytestmark = pytest.mark.integration


@pytest.fixture
def engine(things: Things) -> Iterator[TransformersEngine]:
    with started(engine_settings(things.base)) as running:
        yield running


class Bench:
    """A synchronizer on an event loop, with a store."""

    def __init__(self, directory: Path, engine: TransformersEngine) -> None:
        self.engine = engine
        self.cache = directory / "cache"
        self.shelf = Shelf(directory / "store")
        self.aliases = Aliases(BASE_NAME)
        self.generation = 0
        self.sync: Synchronizer

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        async def whole() -> None:
            self.sync = Synchronizer(self.engine, self.aliases, self.cache, Changes())
            await self.sync.start()
            try:
                await scenario()
            finally:
                await self.sync.close()

        asyncio.run(whole())

    def apply(self, *entries: dict[str, object]) -> None:
        self.generation += 1
        document = {"kind": "AdapterSet", "schemaVersion": 1, "generation": self.generation, "baseModelName": BASE_NAME}
        self.sync.apply(AdapterSet.from_object(document | {"adapters": list(entries)}))

    async def state(self, name: str, state: AdapterState) -> AdapterStatus:
        await wait_until(lambda: name in self.sync.statuses and self.sync.statuses[name].state is state, 20)
        return self.sync.statuses[name]


@pytest.fixture
def bench(tmp_path: Path, engine: TransformersEngine) -> Bench:
    return Bench(tmp_path, engine)


def sealed(directory: Path) -> Version:
    return Version(directory, sha256_bytes((directory / "manifest.json").read_bytes()))


def test_weights_that_give_no_numbers_are_refused_and_unloaded(bench: Bench, things: Things, tmp_path: Path) -> None:
    publish_lora(tmp_path / "endless", things.base, seed=1, strength=1e30)
    version = sealed(tmp_path / "endless")

    async def scenario() -> None:
        bench.apply(entry("bot", version.digest, bench.shelf.put(version)))
        status = await bench.state("bot", AdapterState.REFUSED)
        assert (status.reason, status.served_digest) == ("AdapterRefused", None)
        assert list(bench.engine.loaded) == []

    bench.run(scenario)


def test_a_manifest_that_vouches_for_another_base_is_refused_and_its_files_go(
    bench: Bench, things: Things, tmp_path: Path
) -> None:
    publish_lora(tmp_path / "foreign", things.base, seed=1)
    change_config(tmp_path / "foreign", base_model_name_or_path="another/base")
    seal(tmp_path / "foreign", things.base)
    version = sealed(tmp_path / "foreign")

    async def scenario() -> None:
        bench.apply(entry("bot", version.digest, bench.shelf.put(version)))
        status = await bench.state("bot", AdapterState.REFUSED)
        assert status.reason == "BaseModelMismatch"
        assert status.message is not None
        assert "another/base" in status.message
        assert list(bench.cache.iterdir()) == []

    bench.run(scenario)


def test_a_store_that_is_repaired_is_looked_at_again_without_a_change_of_what_is_told(
    bench: Bench, things: Things, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter_server.sync.failures.REPAIR_SECONDS", 0.05)
    version = things.versions[0]
    uri = bench.shelf.put(version)
    weights = bench.shelf.directory(version) / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])

    async def scenario() -> None:
        bench.apply(entry("bot", version.digest, uri))
        await bench.state("bot", AdapterState.REFUSED)
        told = []
        for _ in range(40):
            await bench.sync.changes.wait_beyond(bench.sync.changes.count)
            told.append(bench.sync.statuses["bot"].state)
        assert set(told) == {AdapterState.REFUSED}
        weights.write_bytes(whole)
        await bench.state("bot", AdapterState.SERVED)

    bench.run(scenario)


def test_an_engine_that_is_gone_keeps_nothing_from_being_removed(bench: Bench, things: Things) -> None:
    first, second, _ = things.versions

    async def scenario() -> None:
        bench.apply(entry("bot", first.digest, bench.shelf.put(first)))
        await bench.state("bot", AdapterState.SERVED)
        bench.engine.close()
        bench.apply(entry("other", second.digest, bench.shelf.put(second)))
        await wait_until(lambda: "bot" not in bench.sync.statuses)
        status = await bench.state("other", AdapterState.FAILED)
        assert status.reason == "LoadFailed"

    bench.run(scenario)


def test_files_that_can_not_be_removed_are_left_and_the_adapter_goes_all_the_same(
    bench: Bench, things: Things, caplog: pytest.LogCaptureFixture
) -> None:
    version = things.versions[0]

    async def scenario() -> None:
        bench.apply(entry("bot", version.digest, bench.shelf.put(version)))
        await bench.state("bot", AdapterState.SERVED)
        in_the_way = bench.cache / f".bot@{version.digest.replace(':', '-')}.deleted"
        (in_the_way / "full").mkdir(parents=True)
        bench.apply()
        await wait_until(lambda: "bot" not in bench.sync.statuses)
        (bench.cache / "a-file").write_text("left by somebody")

    bench.run(scenario)
    assert "can't be removed" in caplog.text
    left = sorted(path.name for path in bench.cache.iterdir())
    assert len(left) == 3

    async def again() -> None:
        bench.apply()
        await wait_until(lambda: not bench.sync.statuses)
        await wait_until(lambda: list(bench.cache.iterdir()) == [])

    bench.run(again)


def test_nothing_is_served_after_the_end(bench: Bench, things: Things) -> None:
    version = things.versions[0]
    uri = bench.shelf.put(version)

    async def scenario() -> None:
        bench.apply(entry("bot", version.digest, uri))
        await bench.sync.close()

    bench.run(scenario)
    assert bench.aliases.served == {}


def test_a_download_is_given_up_when_the_cache_is_closed(bench: Bench, things: Things) -> None:
    version = things.versions[0]
    uri = bench.shelf.put(version)
    cache = AdapterCache(bench.cache)
    cache.close()
    with pytest.raises(DownloadGivenUp):
        cache.download("bot", version.digest, S3Location(uri=uri))
    assert list(bench.cache.iterdir()) == []
