"""Answers of a running server, read by the client library of the OpenAI API."""

import openai
import pytest
import requests

from adapter_contract import Digest
from adapter_server.gateway.endpoint import DIGEST_HEADER
from adapter_testing.server_lab import Pod, Things, ask
from adapter_testing.trainer_lab import BASE_NAME

pytestmark = pytest.mark.integration

HELLO = [{"role": "user", "content": "hello"}]


def test_the_base_and_the_adapters_that_answer_are_listed(client: openai.OpenAI, things: Things) -> None:
    models = client.models.list().data
    assert [(model.id, model.object) for model in models] == [(BASE_NAME, "model"), ("support-bot", "model")]
    adapter = models[1].model_dump()
    assert (adapter["parent"], adapter["digest"]) == (BASE_NAME, things.versions[0].digest)


def test_each_answer_tells_its_version_and_the_base_has_none(client: openai.OpenAI, things: Things) -> None:
    digest: Digest = things.versions[0].digest
    adapted, base = ask(client, "support-bot", "hello"), ask(client, BASE_NAME, "hello")
    assert (adapted.digest, base.digest) == (digest, "")
    assert adapted.text != base.text


def test_an_answer_has_the_form_of_the_openai_api(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="support-bot", messages=HELLO, max_tokens=5, temperature=0)
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", "support-bot")
    [choice] = answer.choices
    assert (choice.index, choice.message.role, choice.finish_reason) == (0, "assistant", "length")
    assert answer.usage.completion_tokens == 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5


def test_a_stream_gives_the_same_text_and_ends_with_the_counts(client: openai.OpenAI) -> None:
    request = {"model": "support-bot", "messages": HELLO, "max_tokens": 6, "temperature": 0}
    whole = client.chat.completions.create(**request)
    chunks = list(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    assert {(chunk.id, chunk.object) for chunk in chunks} == {(chunks[0].id, "chat.completion.chunk")}
    assert chunks[0].choices[0].delta.role == "assistant"
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in told) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in told][-1] == "length"
    assert [choice.finish_reason for choice in told][:-1] == [None] * (len(told) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_a_stream_ends_with_done(serving: Pod) -> None:
    body = {"model": "support-bot", "messages": HELLO, "max_tokens": 2, "stream": True}
    answer = requests.post(f"{serving.url}/v1/chat/completions", json=body, timeout=30)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(event.startswith("data: {") for event in events[:-2])
    assert "usage" not in events[-3]


def test_plain_prompts(client: openai.OpenAI) -> None:
    request = {"model": "support-bot", "prompt": "the boat", "max_tokens": 4, "temperature": 0}
    whole = client.completions.create(**request, logprobs=2)
    assert (whole.object, whole.choices[0].finish_reason) == ("text_completion", "length")
    assert len(whole.choices[0].logprobs.tokens) == 4
    assert len(whole.choices[0].logprobs.token_logprobs) == 4
    assert all(1 <= len(top) <= 2 for top in whole.choices[0].logprobs.top_logprobs), "equal texts are one member"
    chunks = list(client.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def test_a_seed_repeats_an_answer_and_a_stop_text_ends_it(client: openai.OpenAI) -> None:
    def answer(**options: object) -> str:
        request = {"model": "support-bot", "messages": HELLO, "max_tokens": 12, **options}
        return client.chat.completions.create(**request).choices[0].message.content

    assert answer(seed=7) == answer(seed=7)
    assert len({answer(seed=seed) for seed in range(5)}) > 1
    whole = answer(temperature=0)
    middle = whole[2:4]
    assert answer(temperature=0, stop=middle) == whole[: whole.index(middle)]


def test_probabilities_are_told_on_request(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="support-bot", messages=HELLO, max_tokens=3, temperature=0, logprobs=True, top_logprobs=4
    )
    tokens = answer.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == answer.choices[0].message.content
    assert [len(token.top_logprobs) for token in tokens] == [4, 4, 4]
    assert all(token.top_logprobs[0].logprob == token.logprob <= 0 for token in tokens)
    plain = client.chat.completions.create(model="support-bot", messages=HELLO, max_tokens=3, temperature=0)
    assert plain.choices[0].logprobs is None


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"max_tokens": 65}, "max_tokens", None),
        ({"tools": [{}]}, "tools", None),
        ({"messages": [{"role": "user", "content": "word " * 600}]}, "messages", "context_length_exceeded"),
        ({"model": "nobody"}, "model", "model_not_found"),
    ],
)
def test_a_refusal_has_the_form_of_the_openai_api(
    serving: Pod, members: dict[str, object], param: str, code: str | None
) -> None:
    body = {"model": "support-bot", "messages": HELLO, **members}
    answer = requests.post(f"{serving.url}/v1/chat/completions", json=body, timeout=30)
    error = answer.json()["error"]
    assert answer.status_code == (404 if code == "model_not_found" else 400)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


def test_a_client_that_names_no_length_gets_what_fits(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="support-bot", prompt="w" * 240, temperature=0)
    assert answer.usage.total_tokens <= 256


def test_unknown_models_are_told_the_names_and_known_ones_to_wait(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=f"there are: {BASE_NAME}, support-bot, waiting"):
        ask(client, "nobody", "hello")
    with pytest.raises(openai.InternalServerError, match="its training has not published a version yet") as waits:
        ask(client, "waiting", "hello")
    assert (waits.value.status_code, waits.value.code) == (503, "model_not_ready")
    assert waits.value.response.headers["retry-after"] == "2"


def test_other_routes_methods_and_sizes_are_refused_in_the_same_form(serving: Pod) -> None:
    missing = requests.get(f"{serving.url}/v1/embeddings", timeout=30)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_such_route")
    method = requests.get(f"{serving.url}/v1/completions", timeout=30)
    assert (method.status_code, method.headers["allow"]) == (405, "POST")
    large = requests.post(f"{serving.url}/v1/completions", data=b" " * ((4 << 20) + 1), timeout=30)
    assert (large.status_code, large.json()["error"]["type"]) == (413, "invalid_request_error")


def test_probes_of_a_pod_that_is_well(serving: Pod) -> None:
    for path in ("/healthz", "/readyz"):
        assert requests.get(f"{serving.url}{path}", timeout=30).json() == {"status": "ok"}


def test_the_digest_is_told_with_refusals_of_the_model_too(serving: Pod, things: Things) -> None:
    body = {"model": "support-bot", "messages": [{"role": "user", "content": "word " * 600}]}
    answer = requests.post(f"{serving.url}/v1/chat/completions", json=body, timeout=30)
    assert answer.headers[DIGEST_HEADER] == things.versions[0].digest
