"""Prompts are what the base's tokenizer and template make of them, from many threads at once."""

import threading
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from adapter_contract import sha256_bytes
from adapter_server.engines.engine import InvalidRequest
from adapter_server.engines.transformers.prompts import Prompts
from adapter_testing.trainer_lab import CHAT_TEMPLATE, build_tokenizer

pytestmark = pytest.mark.integration

CHAT = [{"role": "user", "content": "where is the boat"}]
END, OF_TEXT = 2, 0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def prompts(directory: Path, template: str | dict[str, str] | None = CHAT_TEMPLATE, **changes: object) -> Prompts:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.chat_template = template
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    return Prompts(tokenizer)


def test_a_conversation_ends_where_the_answer_begins(directory: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    text = "<|im_start|>user\nwhere is the boat<|im_end|>\n<|im_start|>assistant\n"
    assert prompts(directory).render_chat(CHAT) == tuple(tokenizer.encode(text))
    expected = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    assert prompts(directory).render_chat(CHAT) == tuple(expected)


def test_a_plain_prompt_and_back(directory: Path) -> None:
    one = prompts(directory)
    assert one.decode(one.encode("green boats")) == "green boats"
    assert one.decode((*one.encode("blue"), END)) == "blue"


def test_a_template_that_refuses_says_why(directory: Path) -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role here') }}{% endif %}"
    with pytest.raises(InvalidRequest, match="template refuses them: no system role here") as refusal:
        prompts(directory, template).render_chat([{"role": "system", "content": "be brief"}])
    assert refusal.value.parameter == "messages"


def test_without_a_template_there_are_no_chats(directory: Path) -> None:
    bare = prompts(directory, None)
    with pytest.raises(InvalidRequest, match="no chat template: use /v1/completions"):
        bare.render_chat(CHAT)
    assert bare.template_digest is None
    assert prompts(directory).template_digest == sha256_bytes(CHAT_TEMPLATE.encode())


@pytest.mark.parametrize(
    ("templates", "rendered_with"),
    [
        ({"default": CHAT_TEMPLATE, "tool_use": "{{ tools }}"}, CHAT_TEMPLATE),
        ({"tool_use": "{{ tools }}"}, None),
        ({}, None),
        ("", None),
    ],
)
def test_the_digest_is_of_the_template_that_conversations_are_rendered_with(
    directory: Path, templates: str | dict[str, str], rendered_with: str | None
) -> None:
    expected = None if rendered_with is None else sha256_bytes(rendered_with.encode())
    assert prompts(directory, templates).template_digest == expected


@pytest.mark.parametrize(
    ("template", "configured", "expected"),
    [
        (CHAT_TEMPLATE, None, {END}),
        (CHAT_TEMPLATE, 7, {END, 7}),
        (CHAT_TEMPLATE, [7, 9], {END, 7, 9}),
        (CHAT_TEMPLATE.replace("<|im_end|>", "<|endoftext|>"), None, {END, OF_TEXT}),
        (CHAT_TEMPLATE.replace("<|im_end|>", "."), None, {END}),
        ("{{ messages[0].content }}", None, {END}),
        ("{{ raise_exception('never') }}", None, {END}),
        (None, 7, {END, 7}),
    ],
)
def test_what_ends_an_answer(directory: Path, template: str | None, configured: object, expected: set[int]) -> None:
    assert prompts(directory, template).stop_token_ids(configured) == expected


def test_a_tokenizer_that_names_no_end(directory: Path) -> None:
    assert prompts(directory, None, eos_token=None).stop_token_ids(None) == frozenset()


def test_many_threads_encode_while_one_decodes(directory: Path) -> None:
    one = prompts(directory)
    expected, failures = one.encode("seven green boats"), []

    def encode() -> None:
        try:
            for _ in range(200):
                assert one.encode("seven green boats") == expected
                assert one.decode(expected) == "seven green boats"
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=encode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
