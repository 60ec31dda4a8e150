import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from adapter_contract import sha256_bytes
from adapter_testing import chat_templates
from adapter_testing.learning_lab import copied
from adapter_testing.trainer_lab import CHAT_TEMPLATE
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.examples.templates import (
    BrokenTemplate,
    TemplateRefusal,
    end_of_turn,
    load_tokenizer,
    prompt_format,
    render,
)

pytestmark = pytest.mark.integration


def test_a_tokenizer_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadConfiguration, match=r"baseModel: transformers can't load the tokenizer[\s\S]*tokenizer.json"
    ):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("tokenizer.json", "{}"), ("tokenizer.json", "["), ("tokenizer_config.json", "[]")]
)
def test_a_broken_tokenizer_is_named(tokenizer_directory: Path, tmp_path: Path, name: str, content: str) -> None:
    directory = copied(tokenizer_directory, tmp_path / "base")
    (directory / name).write_text(content)
    with pytest.raises(BadConfiguration, match="baseModel: transformers can't load the tokenizer of the base model"):
        load_tokenizer(directory)


def test_a_template_with_an_error_of_syntax_is_the_models_fault_and_not_the_examples(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer.chat_template = "{% for message in messages %}\n{{ message.content }"
    assert end_of_turn(tokenizer) is None
    with pytest.raises(
        BrokenTemplate, match="baseModel: the chat template of the base model has an error of syntax in line 2"
    ):
        render(tokenizer, [{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize(
    ("template", "token"),
    [
        (CHAT_TEMPLATE, "<|im_end|>"),
        (CHAT_TEMPLATE.partition("{% if add_generation_prompt")[0], "<|im_end|>"),
        (chat_templates.CLOSED_BY_ANOTHER_TOKEN, "<|im_end|>"),
        (chat_templates.FORGETS_THOUGHTS, "<|im_end|>"),
        (chat_templates.BEGINS_WITH_A_THOUGHT, "<|im_end|>"),
        (chat_templates.WITHOUT_SPECIAL_TOKENS, None),
        ("{{ raise_exception('no') }}", None),
        (None, None),
    ],
)
def test_the_end_of_a_turn_is_found_in_what_the_template_renders(
    tokenizer: PreTrainedTokenizerBase, template: str | None, token: str | None
) -> None:
    tokenizer.chat_template = template
    found = end_of_turn(tokenizer)
    assert (None if found is None else tokenizer.convert_ids_to_tokens(found)) == token


def test_a_refusal_of_the_template_keeps_its_reason(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = chat_templates.WANTS_TURNS
    with pytest.raises(TemplateRefusal, match="Conversation roles must alternate"):
        render(tokenizer, [{"role": "assistant", "content": "Hi"}])


def test_a_refusal_quotes_no_more_than_a_line(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = "{{ raise_exception('Not this:\n' ~ messages[0].content) }}"
    with pytest.raises(TemplateRefusal) as raised:
        render(tokenizer, [{"role": "user", "content": "long\ntext " * 100}])
    assert str(raised.value).startswith("Not this: long text")
    assert len(str(raised.value)) == 200


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[7].content }}",
        "{{ messages[0]['content'] + 1 }}",
        "{{ 1 / 0 }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_that_fails_refuses(tokenizer: PreTrainedTokenizerBase, template: str) -> None:
    tokenizer.chat_template = template
    with pytest.raises(TemplateRefusal):
        render(tokenizer, [{"role": "user", "content": "Hi"}])


def test_the_prompt_format_names_template_and_every_token_that_ends_an_answer(
    tokenizer_directory: Path, tmp_path: Path
) -> None:
    directory = copied(tokenizer_directory, tmp_path / "base")
    tokenizer = load_tokenizer(directory)
    tokenizer.chat_template = CHAT_TEMPLATE
    assert [token.text for token in prompt_format(tokenizer, directory).stop_tokens] == ["<|im_end|>"]
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 2]}))
    described = prompt_format(tokenizer, directory)
    assert described.chat_template_digest == sha256_bytes(CHAT_TEMPLATE.encode())
    assert [(token.id, token.text) for token in described.stop_tokens] == [(0, "<|endoftext|>"), (2, "<|im_end|>")]
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": 1}))
    assert [token.id for token in prompt_format(tokenizer, directory).stop_tokens] == [1, 2]
    (directory / "generation_config.json").write_text("{}")
    tokenizer.chat_template = None
    assert prompt_format(tokenizer, directory).chat_template_digest is None
    assert [token.id for token in prompt_format(tokenizer, directory).stop_tokens] == [2]


@pytest.mark.parametrize("content", ["{", "[]", "[" * 50_000])
def test_a_broken_generation_config_is_named(tokenizer: PreTrainedTokenizerBase, tmp_path: Path, content: str) -> None:
    (tmp_path / "generation_config.json").write_text(content)
    with pytest.raises(BadConfiguration, match=r"baseModel: generation_config.json of the base model can't be read"):
        prompt_format(tokenizer, tmp_path)


@pytest.mark.parametrize("stops", ["<|im_end|>", [2, "2"], [None], 2.0, -1, True, {"2": 2}])
def test_a_generation_config_that_names_no_tokens_is_refused(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path, stops: object
) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    with pytest.raises(BadConfiguration, match=r"eos_token_id in generation_config.json .*: correct it, or remove it"):
        prompt_format(tokenizer, tmp_path)


def test_a_token_that_the_tokenizer_does_not_know_ends_no_answer(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, len(tokenizer)]}))
    assert [token.id for token in prompt_format(tokenizer, tmp_path).stop_tokens] == [1, 2]
