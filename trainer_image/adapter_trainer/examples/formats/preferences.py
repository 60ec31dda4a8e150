"""Prompts and answers that stand in columns of their own: completions, and pairs of a chosen and a rejected answer."""

from collections.abc import Sequence
from typing import TypeAlias

from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Conversation, Message, Preference, PromptCompletion

Part: TypeAlias = str | tuple[Message, ...]
"""What a column holds: a text, or messages."""


def joined(prompt: Part, answer: Part, where: str) -> Conversation | PromptCompletion:
    """Put prompt and answer together: as text if both are, else as a conversation.

    Args:
        prompt: in a conversation, a text is the user's message.
        answer: in a conversation, a text is the assistant's message.
        where: row and column of the answer, for messages.

    Raises:
        BadData: the answer's messages don't begin with the assistant's.
    """
    if isinstance(prompt, str) and isinstance(answer, str):
        return PromptCompletion(prompt, answer)
    asked = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    answered = ({"role": "assistant", "content": answer},) if isinstance(answer, str) else answer
    if answered and answered[0]["role"] != "assistant":
        raise BadData(f"{where} must begin with a message of role assistant, behind the prompt")
    return Conversation((*asked, *answered), answers_from=len(asked))


def read_preference(prompt: Part | None, chosen: Part, rejected: Part, where: str) -> Preference:
    """Return a pair, with its prompt made explicit.

    Without a prompt of its own it is what both begin with, as in TRL. A prompt that is given as text beside whole
    conversations says again how they begin, and so do messages of the prompt that the answers repeat.

    Raises:
        BadData: the parts don't go together.
    """
    if isinstance(chosen, str) or isinstance(rejected, str):
        if not (isinstance(chosen, str) and isinstance(rejected, str)):
            raise BadData(f"{where}: chosen and rejected must both be strings, or both lists of messages")
        if prompt is None:
            # The loss of a pair does not depend on what both answers begin with: it cancels out.
            shared = _common(chosen, rejected)
            prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    else:
        shared = _repeated(prompt, chosen, rejected)
        if shared and not isinstance(prompt, tuple):
            prompt = chosen[:shared]
        chosen, rejected = chosen[shared:], rejected[shared:]
    if prompt is None:
        raise BadData(
            f"{where}: chosen and rejected begin with different messages, so that there is no prompt they answer: "
            "give 'prompt', or let both begin with it"
        )
    return Preference(joined(prompt, chosen, f"{where}: chosen"), joined(prompt, rejected, f"{where}: rejected"))


def _repeated(prompt: Part | None, chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> int:
    """Return how many messages of both answers belong to the prompt."""
    if isinstance(prompt, tuple):
        return len(prompt) if chosen[: len(prompt)] == rejected[: len(prompt)] == prompt else 0
    if prompt is not None and chosen[0]["role"] == rejected[0]["role"] == "assistant":
        return 0
    return _common(chosen, rejected)


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    """Return how long the common beginning is."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))
