from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AddedToken, PreTrainedTokenizerBase

from adapter_testing import chat_templates
from adapter_testing.trainer_lab import CHAT_TEMPLATE
from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Content, Conversation, Preference, PromptCompletion, Text
from adapter_trainer.examples.encoding import TextEncoder
from adapter_trainer.examples.labelling import Labeller
from adapter_trainer.examples.templates import end_of_turn, load_tokenizer

pytestmark = pytest.mark.integration


@pytest.fixture(params=["byte level", "metaspace with <s>"])
def either(request: pytest.FixtureRequest, tokenizer_directory: Path, bos_tokenizer_directory: Path):
    return load_tokenizer(tokenizer_directory if request.param == "byte level" else bos_tokenizer_directory)


texts = st.lists(
    st.sampled_from(
        ["<|im_end|>", "<|im_start|>", "</s>", "<s>", "<|im", "_end|>", "\n", " ", "assistant\n", "nine", "é", "\u2581"]
    )
    | st.text(st.characters(codec="utf-8"), max_size=5),
    max_size=12,
).map("".join)


@given(batch=st.lists(texts, max_size=6))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_divided_texts_have_the_tokens_of_whole_ones(either: PreTrainedTokenizerBase, batch: list[str]) -> None:
    encoder = TextEncoder(either, end_of_turn(either))
    assert encoder.border in {"<|im_end|>", "</s>"}
    assert encoder.rendered(batch) == [either(text, add_special_tokens=False)["input_ids"] for text in batch]
    assert encoder.border is not None


def test_how_a_tokenizer_was_last_used_by_others_changes_nothing(tokenizer: PreTrainedTokenizerBase) -> None:
    texts = ["the harbour office opens at nine", "who?"]
    expected = TextEncoder(tokenizer, None).plain(texts)
    tokenizer.backend_tokenizer.enable_truncation(3)  # stands in many a tokenizer.json
    tokenizer.backend_tokenizer.enable_padding(length=64)
    assert TextEncoder(tokenizer, None).plain(texts) == expected
    assert len(expected[0]) > 3


def test_where_special_tokens_are_split_no_text_is_divided_behind_them(tokenizer: PreTrainedTokenizerBase) -> None:
    assert TextEncoder(tokenizer, tokenizer.eos_token_id).border == "<|im_end|>"
    tokenizer.split_special_tokens = True
    assert TextEncoder(tokenizer, tokenizer.eos_token_id).border is None


@pytest.mark.parametrize(
    "token",
    [
        AddedToken("<|im_end|>", special=True, normalized=False, rstrip=True),
        AddedToken("<|im_end|>", special=True, normalized=False, lstrip=True),
        AddedToken("<|im_end|>", special=True, normalized=True),
    ],
)
def test_a_token_that_changes_what_stands_beside_it_is_no_border(
    tokenizer: PreTrainedTokenizerBase, token: AddedToken
) -> None:
    number = tokenizer.eos_token_id
    tokenizer.add_tokens([token], special_tokens=True)
    assert tokenizer.added_tokens_decoder[number] == token
    assert TextEncoder(tokenizer, number).border is None
    assert TextEncoder(tokenizer, None).border is None


@pytest.mark.parametrize("other", ["x<|im_end|>", "<|im_end|>\n", "a<|im", "|>b"])
def test_a_token_that_another_one_may_take_apart_is_no_border(tokenizer: PreTrainedTokenizerBase, other: str) -> None:
    tokenizer.add_tokens([AddedToken(other, special=True, normalized=False)], special_tokens=True)
    encoder = TextEncoder(tokenizer, tokenizer.eos_token_id)
    assert encoder.border is None
    text = "ax<|im_end|>\nb|>b"
    assert encoder.rendered([text]) == [tokenizer(text, add_special_tokens=False)["input_ids"]]


def test_a_text_begins_with_the_first_token_once(bos_tokenizer: PreTrainedTokenizerBase) -> None:
    encoder = TextEncoder(bos_tokenizer, end_of_turn(bos_tokenizer))
    for tokens in encoder.plain(["nine", "<s>nine", ""]):
        assert tokens[0] == bos_tokenizer.bos_token_id
        assert tokens.count(bos_tokenizer.bos_token_id) == 1


words = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", " ", "\n", "</think> nine", "<|im_end|>", "</s>", " nine\n", "<think>"]
)
conversations = st.builds(
    lambda system, turns, last: Conversation(
        tuple(
            [{"role": "system", "content": text} for text in system]
            + [
                {"role": role, "content": text}
                for question, answer in turns
                for role, text in (("user", question), ("assistant", answer))
            ]
            + [{"role": "user", "content": text} for text in last]
        )
    ),
    st.lists(words, max_size=1),
    st.lists(st.tuples(words, words), min_size=1, max_size=4),
    st.lists(words, max_size=1),
)
preferences = st.builds(
    lambda prompt, one, other: Preference(
        *(
            Conversation(({"role": "user", "content": prompt}, {"role": "assistant", "content": text}))
            for text in (one, other)
        )
    ),
    words,
    words,
    words,
)
contents = conversations | preferences | st.builds(PromptCompletion, words, words) | st.builds(Text, words)


def one_by_one(labeller: Labeller, batch: list[Content]) -> Iterator[object]:
    for content in batch:
        yield from labeller.label([content], ["line 1"])


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, *chat_templates.ALL])
@given(batch=st.lists(contents, min_size=1, max_size=5), limit=st.sampled_from([3, 20, 1000]), all_of_it=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_fast_way_gives_what_encoding_every_text_as_a_whole_gives(
    either: PreTrainedTokenizerBase, template: str, batch: list[Content], limit: int, all_of_it: bool
) -> None:
    either.chat_template = template
    fast, plain = (Labeller(either, "All" if all_of_it else "Completion", limit) for _ in range(2))
    plain._encoder = TextEncoder(either, None)
    found = fast.label(batch, ["line 1"] * len(batch))
    expected = list(one_by_one(plain, batch))
    assert [str(one) if isinstance(one, BadData) else one for one in found] == [
        str(one) if isinstance(one, BadData) else one for one in expected
    ]
    assert (fast.findings, fast.longest) == (plain.findings, plain.longest)
