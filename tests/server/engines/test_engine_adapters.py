"""Adapters come and go while requests run."""

import asyncio
import gc
import threading
import weakref
from pathlib import Path

import pytest

from adapter_server.engines.engine import AdapterNotLoaded, AdapterRefused, EngineUnavailable, GenerationRequest
from adapter_server.engines.transformers import TransformersEngine
from adapter_testing.engine_lab import (
    FIRST,
    SECOND,
    THIRD,
    Lab,
    answers,
    engine_settings,
    publish_lora,
    read,
    read_some,
)

pytestmark = pytest.mark.integration


def ask(adapter: str | None, max_tokens: int = 24) -> GenerationRequest:
    return GenerationRequest(prompt_tokens=(70, 80, 90, 100), max_tokens=max_tokens, adapter=adapter, temperature=0)


def weights(engine: TransformersEngine, name: str) -> weakref.ref:
    return weakref.ref(engine._adapters[name].pairs["model.layers.0.self_attn.q_proj"].down)


def test_loading_and_unloading_a_third_gives_no_wrong_answer(engine: TransformersEngine, lab: Lab) -> None:
    requests = [ask(None), ask(FIRST), ask(SECOND)]
    expected = [lab.peft.answer(request) for request in requests]
    third = lab.peft.answer(ask(THIRD, 4))
    done = threading.Event()
    swaps = 0

    def swap() -> None:
        nonlocal swaps
        while not done.is_set():
            lab.load(engine, THIRD)
            engine.probe(THIRD)
            assert answers(engine, [ask(THIRD, 4)])[0].tokens == third
            engine.unload(THIRD)
            swaps += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        while swaps < 8 and thread.is_alive():
            assert [answer.tokens for answer in answers(engine, requests * 2)] == expected * 2
    finally:
        done.set()
        thread.join()
    assert swaps >= 8
    assert engine.loaded == sorted([FIRST, SECOND])


def test_a_running_request_keeps_an_unloaded_adapter_and_then_frees_it(engine: TransformersEngine, lab: Lab) -> None:
    memory = weights(engine, FIRST)
    expected = lab.peft.answer(ask(FIRST, 60))

    async def scenario() -> None:
        stream = engine.generate(ask(FIRST, 60))
        pieces = await read_some(stream, 1)
        engine.unload(FIRST)
        with pytest.raises(AdapterNotLoaded):
            engine.generate(ask(FIRST))
        assert engine.uses(FIRST) == 1
        pieces += (await read(stream)).pieces
        assert [piece.token_id for piece in pieces] == expected
        assert engine.uses(FIRST) == 0

    asyncio.run(scenario())
    answers(engine, [ask(None, 1)])  # the step in which the row ended is over
    gc.collect()
    assert memory() is None


def test_unloading_frees_the_memory_at_once(engine: TransformersEngine) -> None:
    answers(engine, [ask(FIRST, 2), ask(SECOND, 2)])
    answers(engine, [ask(None, 1)])
    memory = weights(engine, FIRST)
    engine.unload(FIRST)
    gc.collect()
    assert memory() is None
    with pytest.raises(AdapterNotLoaded, match=r"support\.bot"):
        engine.unload(FIRST)


def test_files_are_not_needed_any_more_once_they_are_loaded(
    engine: TransformersEngine, lab: Lab, tmp_path: Path
) -> None:
    manifest = publish_lora(tmp_path / "artifact", lab.base, seed=9)
    engine.load("short-lived", tmp_path / "artifact", manifest)
    before = answers(engine, [ask("short-lived")])[0].tokens
    weights_file = tmp_path / "artifact" / "adapter_model.safetensors"
    weights_file.write_bytes(b"\0" * weights_file.stat().st_size)
    assert answers(engine, [ask("short-lived")])[0].tokens == before


def test_equal_names_mean_equal_bytes_so_a_second_load_changes_nothing(engine: TransformersEngine, lab: Lab) -> None:
    memory = weights(engine, FIRST)
    engine.load(FIRST, lab.artifacts[SECOND], lab.manifests[SECOND])
    assert weights(engine, FIRST)() is memory()


def test_facts_tell_what_is_loaded(engine: TransformersEngine, lab: Lab) -> None:
    facts = engine.facts
    assert (facts.type, facts.max_rank, facts.active_adapters, facts.cached_adapters) == ("Transformers", 8, 0, 2)
    assert facts.base_digest == lab.manifests[FIRST].base_model.digest
    assert facts.version is not None
    assert facts.version.startswith("transformers 5.")
    idle = TransformersEngine(engine_settings(lab.base)).facts
    assert (idle.base_digest, idle.cached_adapters) == (None, 0)


def test_an_adapter_that_computes_no_numbers_fails_alone_and_its_probe_refuses_it(
    engine: TransformersEngine, lab: Lab, tmp_path: Path
) -> None:
    manifest = publish_lora(tmp_path, lab.base, seed=1, strength=1e37)
    engine.load("broken", tmp_path, manifest)
    with pytest.raises(AdapterRefused, match="first token can't be generated: broken computes values"):
        engine.probe("broken")
    expected = lab.peft.answer(ask(FIRST))

    async def scenario() -> None:
        fine, broken = engine.generate(ask(FIRST)), engine.generate(ask("broken"))
        with pytest.raises(Exception, match="no finite numbers"):
            await read(broken)
        assert (await read(fine)).tokens == expected

    asyncio.run(scenario())
    assert engine.failure is None


def test_adapters_need_a_running_engine(lab: Lab) -> None:
    idle = TransformersEngine(engine_settings(lab.base))
    with pytest.raises(EngineUnavailable):
        lab.load(idle, FIRST)
    with pytest.raises(EngineUnavailable):
        idle.probe(FIRST)
