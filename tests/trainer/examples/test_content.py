import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import canonical_json
from adapter_trainer.examples.content import Conversation, Preference, PromptCompletion, Text, canonical_bytes

pytestmark = pytest.mark.unit

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ['\x00\x1f\x7f\u2028"\\/\b\f', "\U0001f600\uffff"]
)


@given(
    st.recursive(
        texts | st.integers(0, 1000),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "name", "a", "B"]), inner),
    )
)
def test_the_fast_serialization_is_the_canonical_one(value: object) -> None:
    assert canonical_bytes(value) == canonical_json(value)


def test_the_prompt_is_what_stands_before_the_last_answer() -> None:
    user, assistant = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    assert Conversation((user, assistant, user, assistant, user)).prompt_as_json() == [user, assistant, user]
    assert Conversation((user,)).prompt_as_json() is None
    assert Conversation((assistant, user)).prompt_as_json() is None
    assert PromptCompletion("a", "b").prompt_as_json() == "a"
    assert Text("a").prompt_as_json() is None
    pair = Preference(Conversation((user, assistant)), Conversation((user, {**assistant, "content": "Bye"})))
    assert pair.prompt_as_json() == [user]


def test_what_is_learned_of_a_conversation_belongs_to_what_it_says() -> None:
    messages = tuple({"role": role, "content": "a"} for role in ("user", "assistant", "user", "assistant"))
    assert Conversation(messages).as_json() != Conversation(messages, answers_from=3).as_json()
