"""The engine answers what transformers and PEFT answer, however many requests run at the same time."""

import asyncio
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, MistralConfig, MistralForCausalLM

from adapter_server.engines.engine import (
    AdapterNotLoaded,
    ContextLengthExceeded,
    EngineUnavailable,
    GenerationRequest,
    InvalidRequest,
    Usage,
)
from adapter_server.engines.transformers import TransformersEngine
from adapter_testing.engine_lab import (
    FIRST,
    SECOND,
    Answer,
    Lab,
    Peft,
    answers,
    engine_settings,
    read,
    read_some,
    started,
)

pytestmark = pytest.mark.integration

QUESTIONS = (
    "where is the boat",
    "when does the small harbour office open",
    "lamps?",
    "who answers questions about trains",
)


def ask(engine: TransformersEngine, question: str, adapter: str | None = None, **changes: object) -> GenerationRequest:
    prompt = engine.render_chat([{"role": "user", "content": question}])
    values = {"max_tokens": 16, "temperature": 0.0} | changes
    return GenerationRequest(prompt_tokens=prompt, adapter=adapter, **values)


def test_base_and_two_adapters_at_the_same_time_equal_peft_token_for_token(
    engine: TransformersEngine, lab: Lab
) -> None:
    requests = [ask(engine, *pair) for pair in itertools.product(QUESTIONS, (None, FIRST, SECOND))]
    got = answers(engine, requests)
    expected = [lab.peft.answer(request) for request in requests]
    assert [answer.tokens for answer in got] == expected
    assert len({tuple(tokens) for tokens in expected}) > len(QUESTIONS)  # adapters do change answers


def test_rows_that_join_later_and_leave_earlier_change_nothing(engine: TransformersEngine, lab: Lab) -> None:
    requests = [
        ask(engine, question, adapter, max_tokens=length)
        for (question, adapter), length in zip(
            itertools.product(QUESTIONS, (None, FIRST, SECOND)), itertools.cycle((40, 3, 17)), strict=False
        )
    ]

    async def one_after_another() -> list[Answer]:
        streams = []
        for request in requests:
            streams.append(engine.generate(request))
            await read_some(streams[-1], 1)  # its row has joined before the next one is queued
        return [await read(stream) for stream in streams]

    got = asyncio.run(one_after_another())
    assert [answer.tokens for answer in got] == [lab.peft.answer(request)[1:] for request in requests]


def test_loaded_adapters_leave_the_base_untouched(lab: Lab) -> None:
    with started(engine_settings(lab.base)) as engine:
        requests = [ask(engine, question, top_logprobs=3) for question in QUESTIONS]
        before = [answer.pieces for answer in answers(engine, requests)]
        lab.load(engine, FIRST, SECOND)
        assert [answer.pieces for answer in answers(engine, requests)] == before


def test_one_request_more_than_the_batch_holds_waits_for_its_turn(lab: Lab) -> None:
    with started(engine_settings(lab.base, max_batch_size=2)) as engine:
        requests = [ask(engine, question) for question in QUESTIONS]
        assert [one.tokens for one in answers(engine, requests)] == [lab.peft.answer(one) for one in requests]


def test_adapters_over_the_limit_of_active_ones_take_turns(lab: Lab) -> None:
    with started(engine_settings(lab.base, max_active_adapters=1)) as engine:
        lab.load(engine, FIRST, SECOND)
        requests = [ask(engine, QUESTIONS[0], adapter) for adapter in (FIRST, SECOND, None, FIRST)]
        assert [one.tokens for one in answers(engine, requests)] == [lab.peft.answer(one) for one in requests]


def test_a_long_answer_does_not_keep_a_short_one_waiting(engine: TransformersEngine) -> None:
    async def scenario() -> None:
        long = engine.generate(ask(engine, "lamps?", FIRST, max_tokens=450))
        await read_some(long, 1)
        short = await read(engine.generate(ask(engine, "lamps?", SECOND, max_tokens=3)))
        assert (len(short.pieces), engine.running_requests, engine.facts.active_adapters) == (3, 1, 1)
        long.cancel()

    asyncio.run(scenario())


def test_sampling_repeats_by_seed_whoever_runs_beside_it(engine: TransformersEngine) -> None:
    request = ask(engine, QUESTIONS[0], FIRST, temperature=0.9, top_p=0.9, seed=11)
    (alone,) = answers(engine, [request])
    crowd = answers(engine, [ask(engine, question, SECOND) for question in QUESTIONS] + [request])
    other, fresh, fresh_again = answers(
        engine, [ask(engine, QUESTIONS[0], FIRST, temperature=0.9, top_p=0.9, seed=seed) for seed in (12, None, None)]
    )
    assert crowd[-1].tokens == alone.tokens
    assert len({tuple(answer.tokens) for answer in (alone, other, fresh, fresh_again)}) == 4


def test_usage_and_text_and_reason(engine: TransformersEngine, lab: Lab) -> None:
    request = ask(engine, QUESTIONS[1], SECOND, max_tokens=9)
    (answer,) = answers(engine, [request])
    tokenizer = AutoTokenizer.from_pretrained(lab.base)
    whole = tokenizer.decode(answer.tokens, skip_special_tokens=True).rstrip("\ufffd")
    assert (answer.text, answer.finish_reason) == (whole, "length")
    assert answer.usage == Usage(len(request.prompt_tokens), 9)
    assert [piece.finish_reason for piece in answer.pieces] == [None] * 8 + ["length"]


def test_a_token_that_ends_the_answer_counts_and_has_no_text(tmp_path: Path, lab: Lab) -> None:
    (first,) = _with_stop_tokens(tmp_path, lab, [])
    stop = first.tokens[4]
    assert stop not in first.tokens[:4]
    (answer,) = _with_stop_tokens(tmp_path, lab, [2, stop])
    assert answer.tokens == first.tokens[:5]
    assert answer.pieces[-1].finish_reason == "stop"
    assert answer.usage.completion_tokens == 5
    assert first.text.startswith(answer.text)


def _with_stop_tokens(directory: Path, lab: Lab, tokens: list[int]) -> list[Answer]:
    base = directory / f"base{len(tokens)}"
    base.mkdir()
    for path in lab.base.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    (base / "generation_config.json").write_text(json.dumps({"eos_token_id": tokens or None}))
    with started(engine_settings(base)) as engine:
        return answers(engine, [ask(engine, QUESTIONS[3])])


def test_a_stop_text_ends_the_answer_before_it(engine: TransformersEngine) -> None:
    words = ask(engine, QUESTIONS[1], SECOND, max_tokens=30, temperature=1.0, seed=5)
    (free,) = answers(engine, [words])
    stop = free.text[20:23]
    (answer,) = answers(engine, [replace(words, stop=("never", stop))])
    assert answer.finish_reason == "stop"
    assert answer.text == free.text[: free.text.index(stop)]
    assert len(answer.pieces) < len(free.pieces)


def test_what_was_held_back_comes_with_the_last_piece(engine: TransformersEngine) -> None:
    words = ask(engine, QUESTIONS[1], SECOND, max_tokens=30, temperature=1.0, seed=5)
    (free,) = answers(engine, [words])
    (answer,) = answers(engine, [replace(words, stop=(free.text[-6:] + "~never~",))])
    assert (answer.text, answer.finish_reason) == (free.text, "length")
    assert len(answer.pieces[-1].text) >= 6


def test_logprobs_are_the_models_own(engine: TransformersEngine, lab: Lab) -> None:
    request = ask(engine, QUESTIONS[0], top_logprobs=3, max_tokens=3)
    (answer,) = answers(engine, [request])
    for piece in answer.pieces:
        assert piece.logprob is not None
        assert piece.logprob == piece.top_logprobs[0]
        assert piece.logprob.token_id == piece.token_id
        values = [top.logprob for top in piece.top_logprobs]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
    (plain,) = answers(engine, [ask(engine, QUESTIONS[0], max_tokens=3)])
    assert {piece.logprob for piece in plain.pieces} == {None}


def test_logprobs_of_a_token_that_is_not_the_likeliest(engine: TransformersEngine) -> None:
    (answer,) = answers(engine, [ask(engine, QUESTIONS[0], temperature=2.0, seed=1, top_logprobs=0)])
    assert all(piece.logprob and piece.logprob.logprob < -1 and piece.top_logprobs == () for piece in answer.pieces)


def test_a_request_that_is_too_long_is_refused_or_clipped_as_it_asks(lab: Lab) -> None:
    with started(engine_settings(lab.base, max_model_length=32)) as engine:
        room = 32 - len(ask(engine, "lamps?").prompt_tokens)
        with pytest.raises(ContextLengthExceeded, match="maximum context length is 32 tokens"):
            answers(engine, [ask(engine, "lamps?", max_tokens=room + 1)])
        (answer,) = answers(engine, [ask(engine, "lamps?", max_tokens=1000, clip_max_tokens=True)])
        assert (answer.usage.completion_tokens, answer.finish_reason) == (room, "length")


def test_the_bases_own_length_is_the_limit_where_it_is_less(lab: Lab) -> None:
    with started(engine_settings(lab.base, max_model_length=4096)) as engine:
        assert engine.max_model_length == 512
        with pytest.raises(ContextLengthExceeded):
            answers(engine, [ask(engine, "lamps?", max_tokens=512)])


def test_requests_that_can_not_be_carried_out_are_refused_at_once(engine: TransformersEngine, lab: Lab) -> None:
    with pytest.raises(AdapterNotLoaded, match="no adapter 'nobody'"):
        answers(engine, [ask(engine, "lamps?", "nobody")])
    with pytest.raises(InvalidRequest, match="temperature"):
        answers(engine, [ask(engine, "lamps?", temperature=3.0)])
    assert (engine.queued_requests, engine.running_requests) == (0, 0)
    idle = TransformersEngine(engine_settings(lab.base))
    assert idle.max_model_length == 512
    with pytest.raises(EngineUnavailable, match="was not started"):
        idle.encode("lamps?")
    idle.close()


def test_a_model_with_a_sliding_window_equals_transformers(tmp_path: Path, lab: Lab) -> None:
    for path in lab.base.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    llama = AutoModelForCausalLM.from_pretrained(lab.base).config
    MistralForCausalLM(
        MistralConfig(
            vocab_size=llama.vocab_size,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            sliding_window=8,
            max_position_embeddings=512,
            bos_token_id=None,
            eos_token_id=llama.eos_token_id,
        )
    ).save_pretrained(tmp_path)
    with started(engine_settings(tmp_path)) as engine:
        requests = [ask(engine, question, max_tokens=24) for question in QUESTIONS]
        plain = Peft(tmp_path, {})
        assert [one.tokens for one in answers(engine, requests)] == [plain.answer(one) for one in requests]
