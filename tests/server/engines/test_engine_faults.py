"""Who goes away, and what goes wrong: one request at most ends by it, or everybody is told."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from adapter_server.engines.engine import EngineUnavailable, GenerationFailed, GenerationRequest
from adapter_server.engines.transformers import TransformersEngine
from adapter_testing.engine_lab import FIRST, SECOND, Lab, answers, engine_settings, read, read_some, started

pytestmark = pytest.mark.integration

POISON = 333


class ThreadDeath(BaseException):
    """Nothing that anybody handles."""


def ask(adapter: str | None, *prompt: int, max_tokens: int = 12) -> GenerationRequest:
    return GenerationRequest(
        prompt_tokens=prompt or (70, 80, 90), max_tokens=max_tokens, adapter=adapter, temperature=0
    )


@contextmanager
def faults(engine: TransformersEngine, check: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Let the model's own computation fail where the check of its input ids raises."""
    embeddings = engine._started.base.model.get_input_embeddings()
    hook = embeddings.register_forward_pre_hook(lambda _module, inputs: check(inputs[0]))
    try:
        yield
    finally:
        hook.remove()


def raise_on_poison(tokens: torch.Tensor) -> None:
    if POISON in tokens:
        raise RuntimeError("poisoned")


def test_a_cancelled_request_ends_and_the_others_go_on(engine: TransformersEngine, lab: Lab) -> None:
    request = ask(FIRST, max_tokens=60)

    async def scenario() -> None:
        doomed, fine = engine.generate(ask(SECOND, max_tokens=480)), engine.generate(request)
        pieces = await read_some(doomed, 2)
        doomed.cancel()
        assert len((await read(doomed)).pieces) + len(pieces) < 480
        assert (await read(fine)).tokens == lab.peft.answer(request)
        doomed.cancel()

    asyncio.run(scenario())
    assert (engine.queued_requests, engine.running_requests) == (0, 0)


def test_a_request_that_is_cancelled_while_it_waits_is_never_computed(lab: Lab) -> None:
    async def scenario(engine: TransformersEngine) -> None:
        running = engine.generate(ask(None, max_tokens=480))
        await read_some(running, 1)
        waiting, behind = engine.generate(ask(None)), engine.generate(ask(None, max_tokens=2))
        assert engine.queued_requests == 2
        waiting.cancel()
        assert (await read(waiting)).pieces == []
        running.cancel()
        assert len((await read(behind)).pieces) == 2

    with started(engine_settings(lab.base, max_batch_size=1)) as engine:
        asyncio.run(scenario(engine))


def test_one_prompt_that_fails_ends_alone(
    engine: TransformersEngine, lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [ask(None, 70, 80), ask(FIRST, 70, POISON), ask(SECOND, 70, 90, 100)]
    expected = [lab.peft.answer(requests[0]), lab.peft.answer(requests[2])]

    async def scenario() -> None:
        with engine._work:  # so that all three are let in together
            first, poisoned, last = [engine.generate(request) for request in requests]
        with pytest.raises(GenerationFailed, match="the computation failed: poisoned"):
            await read(poisoned)
        assert [(await read(first)).tokens, (await read(last)).tokens] == expected

    with faults(engine, raise_on_poison):
        asyncio.run(scenario())
    assert "3 requests could not be started together" in caplog.text


def test_a_step_that_fails_once_is_noticed_by_nobody(
    engine: TransformersEngine, lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [ask(None), ask(FIRST), ask(SECOND, 70, 80)]
    steps = itertools.count()

    def fail_once(tokens: torch.Tensor) -> None:
        if tokens.shape[1] == 1 and next(steps) == 5:
            raise RuntimeError("a moment of weakness")

    with faults(engine, fail_once):
        got = answers(engine, requests)
    assert [answer.tokens for answer in got] == [lab.peft.answer(request) for request in requests]
    assert "each begins anew" in caplog.text


def test_a_row_whose_steps_fail_ends_alone(engine: TransformersEngine, lab: Lab) -> None:
    good = ask(SECOND, 70, 80, max_tokens=30)
    expected, doomed = lab.peft.answer(good), lab.peft.answer(ask(FIRST, max_tokens=30))
    poison = next(token for token in doomed[3:] if token not in expected)

    def poisoned(tokens: torch.Tensor) -> None:
        if poison in tokens:
            raise RuntimeError("poisoned")

    async def scenario() -> None:
        fine, failing = engine.generate(good), engine.generate(ask(FIRST, max_tokens=30))
        with pytest.raises(GenerationFailed, match="poisoned"):
            await read(failing)
        assert (await read(fine)).tokens == expected

    with faults(engine, poisoned):
        asyncio.run(scenario())


def test_steps_that_keep_failing_end_their_rows(engine: TransformersEngine) -> None:
    def fail_every_step(tokens: torch.Tensor) -> None:
        if tokens.shape[1] == 1:
            raise RuntimeError("never again")

    with faults(engine, fail_every_step), pytest.raises(GenerationFailed, match="failed again after"):
        answers(engine, [ask(None)])
    assert len(answers(engine, [ask(None)])[0].pieces) == 12


def test_a_reader_whose_loop_is_gone_holds_up_nobody(engine: TransformersEngine, lab: Lab) -> None:
    async def leave() -> None:
        await read_some(engine.generate(ask(FIRST, max_tokens=480)), 1)

    asyncio.run(leave())
    assert answers(engine, [ask(SECOND)])[0].tokens == lab.peft.answer(ask(SECOND))
    assert engine.uses(FIRST) == 0


def test_an_engine_whose_thread_dies_says_so_and_leaves_no_reader_waiting(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    def die(tokens: torch.Tensor) -> None:
        if POISON in tokens:
            raise ThreadDeath

    async def scenario(engine: TransformersEngine) -> None:
        running = engine.generate(ask(None, max_tokens=480))
        await read_some(running, 1)
        fatal = engine.generate(ask(None, POISON))
        for stream in (running, fatal):
            with pytest.raises(EngineUnavailable, match=r"thread died: ThreadDeath\(\)"):
                await read(stream)
        with pytest.raises(EngineUnavailable, match="thread died"):
            engine.generate(ask(None))

    with started(engine_settings(lab.base)) as engine, caplog.at_level(logging.CRITICAL):
        assert engine.failure is None
        with faults(engine, die):
            asyncio.run(scenario(engine))
        assert isinstance(engine.failure, EngineUnavailable)
    assert "the engine's thread died" in caplog.text


def test_closing_ends_every_request(lab: Lab) -> None:
    async def scenario(engine: TransformersEngine) -> None:
        running, waiting = [engine.generate(ask(None, max_tokens=480)) for _ in range(2)]
        await read_some(running, 1)
        await asyncio.to_thread(engine.close)
        for stream in (running, waiting):
            with pytest.raises(EngineUnavailable, match="was closed"):
                await read(stream)
        with pytest.raises(EngineUnavailable, match="was closed"):
            engine.generate(ask(None))

    with started(engine_settings(lab.base, max_batch_size=1)) as engine:
        asyncio.run(scenario(engine))
        assert str(engine.failure) == "the engine was closed"
