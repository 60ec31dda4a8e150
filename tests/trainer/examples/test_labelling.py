from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from adapter_testing import chat_templates
from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Content, Conversation, Preference, PromptCompletion, Text
from adapter_trainer.examples.example import UNLABELLED, Example, PreferencePair
from adapter_trainer.examples.labelling import Labeller
from adapter_trainer.examples.refusals import ChatTemplateMissing
from adapter_trainer.examples.templates import rendered_tokens

pytestmark = pytest.mark.integration

SYSTEM = {"role": "system", "content": "Be brief."}


def turn(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def conversation(*parts: Sequence[dict[str, str]]) -> Conversation:
    return Conversation(tuple(message for part in parts for message in part))


def labeller(tokenizer: PreTrainedTokenizerBase, loss_on: str = "Completion", limit: int = 512) -> Labeller:
    return Labeller(tokenizer, loss_on, limit)  # type: ignore[arg-type]


def label(one: Labeller, content: Content) -> list[Example]:
    (found,) = one.label([content], ["line 1"])
    if isinstance(found, BadData):
        raise found
    return list(found)


def learned(tokenizer: PreTrainedTokenizerBase, example: Example) -> list[str]:
    """Return the learned texts, one per unbroken stretch of labels."""
    stretches: list[list[int]] = [[]]
    for token, label in zip(example.tokens, example.labels, strict=True):
        assert label in {token, UNLABELLED}
        if label != UNLABELLED:
            stretches[-1].append(token)
        elif stretches[-1]:
            stretches.append([])
    return [str(tokenizer.decode(stretch)) for stretch in stretches if stretch]


def test_every_answer_is_learned_with_the_token_that_ends_it_and_nothing_else(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    content = conversation([SYSTEM], turn("who?", "the harbour office"), turn("when?", "nine"))
    (example,) = label(labeller(tokenizer), content)
    assert learned(tokenizer, example) == ["the harbour office<|im_end|>", "nine<|im_end|>"]
    # The token that ends an answer is also the padding token: labels must not go by its id.
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == example.labels[-1]
    whole = rendered_tokens(tokenizer, content.messages)
    assert list(example.tokens) == whole[: len(example.tokens)]
    assert str(tokenizer.decode(whole[len(example.tokens) :])) == "\n"


def test_what_follows_the_last_answer_is_not_read(tokenizer: PreTrainedTokenizerBase) -> None:
    one = label(labeller(tokenizer), conversation(turn("who?", "nine")))
    more = label(labeller(tokenizer), conversation(turn("who?", "nine"), turn("and?", "-")[:1]))
    assert one == more


def test_an_answer_that_opens_a_conversation_is_only_read(tokenizer: PreTrainedTokenizerBase) -> None:
    content = conversation(turn("", "welcome")[1:], turn("who?", "nine"))
    (example,) = label(labeller(tokenizer), content)
    assert learned(tokenizer, example) == ["nine<|im_end|>"]
    assert "welcome" in str(tokenizer.decode(example.tokens))


def test_all_learns_every_token(tokenizer: PreTrainedTokenizerBase) -> None:
    content = conversation(turn("who?", "nine"), turn("and?", "-")[:1])
    (example,) = label(labeller(tokenizer, "All"), content)
    assert list(example.tokens) == rendered_tokens(tokenizer, content.messages)
    assert example.labels == [UNLABELLED, *example.tokens[1:]]


def test_without_an_answer_there_is_nothing_to_learn(tokenizer: PreTrainedTokenizerBase) -> None:
    assert label(labeller(tokenizer), conversation(turn("who?", "")[:1])) == []


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)


@given(system=st.none() | words, turns=st.lists(st.tuples(words, words), min_size=1, max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_learned_answers_stand_behind_the_prompts_that_serving_renders(
    tokenizer: PreTrainedTokenizerBase, system: str | None, turns: list[tuple[str, str]]
) -> None:
    opening = [] if system is None else [{"role": "system", "content": system}]
    content = conversation(opening, *(turn(question, answer) for question, answer in turns))
    examples = label(labeller(tokenizer, limit=10_000), content)
    assert "".join(text for example in examples for text in learned(tokenizer, example)).endswith("<|im_end|>")
    prompt = rendered_tokens(tokenizer, content.messages[:-1], answer_follows=True)
    *before, last = prompt
    assert list(examples[-1].tokens[: len(before)]) == before
    # A line feed that begins the answer may merge with the one that ends the prompt: then that token is learned.
    start = len(prompt) if examples[-1].tokens[len(before)] == last else len(before)
    assert examples[-1].labels[start] != UNLABELLED
    assert all(label == UNLABELLED for label in examples[-1].labels[len(prompt) - 3 : start])


def test_a_template_that_rewrites_earlier_turns_splits_the_conversation(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = chat_templates.FORGETS_THOUGHTS
    one = labeller(tokenizer)
    content = conversation(turn("who?", "nine"), turn("when?", "seven"))
    first, second = label(one, content)
    assert learned(tokenizer, first) == ["<think>\n\n</think>\n\nnine<|im_end|>"]
    assert learned(tokenizer, second) == ["<think>\n\n</think>\n\nseven<|im_end|>"]
    prompt = rendered_tokens(tokenizer, content.messages[:3], answer_follows=True)
    assert list(second.tokens[: len(prompt)]) == prompt
    assert "nine<|im_end|>" in str(tokenizer.decode(prompt))
    assert one.findings["split"] == 1


def test_a_turn_that_another_token_closes_is_not_split(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = chat_templates.CLOSED_BY_ANOTHER_TOKEN
    one = labeller(tokenizer)
    (example,) = label(one, conversation(turn("who?", "nine"), turn("when?", "seven")))
    assert learned(tokenizer, example) == ["nine<|im_end|>", "seven<|im_end|>"]
    assert not any(one.findings.values())


def test_a_prompt_that_begins_the_answer_otherwise_is_noticed(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = chat_templates.BEGINS_WITH_A_THOUGHT
    one = labeller(tokenizer)
    (example,) = label(one, conversation(turn("who?", "nine")))
    assert learned(tokenizer, example) == ["nine<|im_end|>"]
    assert one.findings["answer begins otherwise"] == 1


def test_one_token_that_spans_prompt_and_answer_is_learned_and_two_others_are_noticed(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tokenizer.add_tokens(["\n\n"])
    one = labeller(tokenizer)
    (example,) = label(one, conversation(turn("who?", "\nnine")))
    assert learned(tokenizer, example) == ["\n\nnine<|im_end|>"]
    assert not any(one.findings.values())
    before = len(rendered_tokens(tokenizer, turn("who?", "")[:1], answer_follows=True))
    tokenizer.chat_template = str(tokenizer.chat_template).replace("assistant\n{% endif", "assistant\n\u00e9{% endif")
    assert len(rendered_tokens(tokenizer, turn("who?", "")[:1], answer_follows=True)) == before + 2
    one = labeller(tokenizer)
    (example,) = label(one, conversation(turn("who?", "nine")))
    assert learned(tokenizer, example) == ["nine<|im_end|>"]
    assert one.findings["answer begins otherwise"] == 1


def test_as_many_tokens_as_are_allowed_are_not_cut(tokenizer: PreTrainedTokenizerBase) -> None:
    content = conversation(turn("who?", "nine"))
    length = len(label(labeller(tokenizer), content)[0].tokens)
    exact, shorter = labeller(tokenizer, limit=length), labeller(tokenizer, limit=length - 1)
    assert label(exact, content) == label(labeller(tokenizer), content)
    assert not any(exact.findings.values())
    (example,) = label(shorter, content)
    assert learned(tokenizer, example) == ["nine"]
    assert {name for name, count in shorter.findings.items() if count} == {"truncated", "answer cut"}


def test_only_what_has_no_character_is_an_empty_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    one = labeller(tokenizer)
    label(one, conversation(turn("who?", " ")))
    assert (one.answers, one.findings["empty answer"]) == (1, 0)
    label(one, conversation(turn("who?", "")))
    assert (one.answers, one.findings["empty answer"]) == (2, 1)


def test_an_answer_without_an_end_is_noticed(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = chat_templates.WITHOUT_SPECIAL_TOKENS
    one = labeller(tokenizer)
    (example,) = label(one, conversation(turn("who?", "nine"), turn("when?", "seven")))
    assert learned(tokenizer, example) == [" nine\n", " seven\n"]
    assert one.findings["no end of turn"] == 2


def test_a_conversation_that_the_template_refuses_is_named(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = chat_templates.WANTS_TURNS
    with pytest.raises(BadData, match="line 1: the chat template of the base model refuses it: Conversation roles"):
        label(labeller(tokenizer), conversation([SYSTEM], turn("who?", "nine")))


def test_a_base_without_a_template_has_no_conversations(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = None
    with pytest.raises(ChatTemplateMissing, match="the base model has no chat template: choose an instruct model"):
        labeller(tokenizer).require_template("Messages")


def test_a_completion_is_learned_behind_its_prompt(tokenizer: PreTrainedTokenizerBase) -> None:
    content = PromptCompletion("one two", " three")
    (example,) = label(labeller(tokenizer), content)
    assert str(tokenizer.decode(example.tokens)) == "one two three<|im_end|>"
    assert learned(tokenizer, example) == [" three<|im_end|>"]
    (everything,) = label(labeller(tokenizer, "All"), content)
    assert everything.tokens == example.tokens
    assert everything.labels == [UNLABELLED, *example.tokens[1:]]


def test_a_text_is_learned_as_a_whole_and_ends_once(tokenizer: PreTrainedTokenizerBase) -> None:
    for text in ("one two", "one two<|im_end|>"):
        (example,) = label(labeller(tokenizer), Text(text))
        assert example.labels == [UNLABELLED, *example.tokens[1:]]
        assert str(tokenizer.decode(example.tokens)) == "one two<|im_end|>"
    tokenizer.eos_token = None
    (endless,) = label(labeller(tokenizer), Text("one two"))
    assert str(tokenizer.decode(endless.tokens)) == "one two"


def test_sequences_are_cut_and_dropped_if_nothing_to_learn_is_left(tokenizer: PreTrainedTokenizerBase) -> None:
    content = conversation(turn("who?", "the harbour office is open"))
    (whole,) = label(labeller(tokenizer), content)
    first = whole.labels.index(next(label for label in whole.labels if label != UNLABELLED))
    cutting = labeller(tokenizer, limit=first + 2)
    (cut,) = label(cutting, content)
    assert (cut.tokens, cut.labels) == (whole.tokens[: first + 2], whole.labels[: first + 2])
    assert cut.labelled_tokens == 2
    assert cutting.findings["truncated"] == 1
    assert label(labeller(tokenizer, limit=first), content) == []


def test_the_first_token_of_a_sequence_is_never_learned(tokenizer: PreTrainedTokenizerBase) -> None:
    assert label(labeller(tokenizer, limit=1), Text("one two")) == []
    assert Example.of((5, 6, 7), (5, 6, UNLABELLED)).labelled_tokens == 1


def test_labels_agree_with_the_markers_of_a_template_that_has_them(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = chat_templates.MARKS_ANSWERS
    content = conversation([SYSTEM], turn("who?", "the harbour office"), turn("when?", "nine"))
    (example,) = label(labeller(tokenizer), content)
    marked = tokenizer.apply_chat_template(
        list(content.messages), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    length = len(example.tokens)
    assert list(example.tokens) == marked["input_ids"][:length]
    mask = [int(label != UNLABELLED) for label in example.labels]
    assert mask == marked["assistant_masks"][:length]
    assert not any(marked["assistant_masks"][length:])


def test_no_sequence_begins_twice(bos_tokenizer: PreTrainedTokenizerBase) -> None:
    one = labeller(bos_tokenizer)
    for content, answers in [
        (conversation([SYSTEM], turn("who?", "nine"), turn("when?", "ten")), ["nine</s>", "ten</s>"]),
        (PromptCompletion("who?", " nine"), ["nine</s>"]),
        (PromptCompletion("<s>who?", " nine</s>"), ["nine</s>"]),
    ]:
        (example,) = label(one, content)
        assert list(example.tokens).count(bos_tokenizer.bos_token_id) == 1
        assert example.tokens[0] == bos_tokenizer.bos_token_id
        assert [text.strip() for text in learned(bos_tokenizer, example)] == answers
    (text,) = label(one, Text("who opens"))
    assert list(text.labels) == [UNLABELLED, *text.tokens[1:]]
    assert text.tokens[-1] == bos_tokenizer.eos_token_id


def test_a_pair_has_what_a_single_answer_has(tokenizer: PreTrainedTokenizerBase) -> None:
    chosen, rejected = conversation(turn("who?", "nine")), conversation(turn("who?", "ten o'clock"))
    ((pair,),) = labeller(tokenizer, "All").label([Preference(chosen, rejected)], ["line 1"])
    assert isinstance(pair, PreferencePair)
    assert [[one] for one in pair.sequences] == [label(labeller(tokenizer), one) for one in (chosen, rejected)]
    assert pair.labelled_tokens == sum(one.labelled_tokens for one in pair.sequences)


def test_answers_of_the_prompt_are_only_read(tokenizer: PreTrainedTokenizerBase) -> None:
    messages = conversation(turn("who?", "nine"), turn("when?", "ten")).messages
    (example,) = label(labeller(tokenizer), Conversation(messages, answers_from=3))
    assert learned(tokenizer, example) == ["ten<|im_end|>"]


def test_batches_have_no_influence(tokenizer: PreTrainedTokenizerBase) -> None:
    contents = [
        conversation(turn("who?", "nine")),
        Text("one"),
        PromptCompletion("a", "b"),
        conversation(turn("", "x")),
    ]
    together = labeller(tokenizer).label(contents, ["line"] * 4)
    assert [list(units) for units in together] == [label(labeller(tokenizer), content) for content in contents]
    assert labeller(tokenizer).label([], []) == []
