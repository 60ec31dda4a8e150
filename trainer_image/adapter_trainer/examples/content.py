"""What an example says, whatever columns it came in.

`messages` are those of OpenAI's chat API (objects with role and content); `prompt` and `completion`, `text`, `chosen`
and `rejected` are the names that TRL's documentation uses.
"""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, str]
"""Role and content, perhaps a name."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order.

    Attributes:
        messages: all of them.
        answers_from: the assistant's messages from this position on are answers; those before are part of the
            prompt. One that opens a conversation answers nothing, so this is never 0.
    """

    messages: tuple[Message, ...]
    answers_from: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return what the example says, for its digest."""
        answers = {} if self.answers_from == 1 else {"answersFrom": self.answers_from}
        return {"messages": list(self.messages), **answers}

    def answers(self) -> list[int]:
        """Return the positions of the answers."""
        return [
            position
            for position, message in enumerate(self.messages)
            if position >= self.answers_from and message["role"] == "assistant"
        ]

    def prompt_as_json(self) -> object:
        """Return what stands before the last answer; nothing where there is no answer."""
        answers = self.answers()
        return list(self.messages[: answers[-1]]) if answers else None


@dataclass(frozen=True, slots=True)
class PromptCompletion:
    """A text to go on from, and how it goes on."""

    prompt: str
    completion: str

    def as_json(self) -> dict[str, Any]:
        """Return what the example says, for its digest."""
        return {"prompt": self.prompt, "completion": self.completion}

    def prompt_as_json(self) -> object:
        """Return what stands before the completion."""
        return self.prompt or None


@dataclass(frozen=True, slots=True)
class Text:
    """A text, all of which is learned."""

    text: str

    def as_json(self) -> dict[str, Any]:
        """Return what the example says, for its digest."""
        return {"text": self.text}

    def prompt_as_json(self) -> object:
        """Return nothing: there is no prompt."""
        return None


@dataclass(frozen=True, slots=True)
class Preference:
    """Two ways to go on from one prompt, of which the first is preferred."""

    chosen: Conversation | PromptCompletion
    rejected: Conversation | PromptCompletion

    def as_json(self) -> dict[str, Any]:
        """Return what the example says, for its digest."""
        return {"chosen": self.chosen.as_json(), "rejected": self.rejected.as_json()}

    def prompt_as_json(self) -> object:
        """Return what stands before the answers."""
        if isinstance(self.chosen, Conversation):
            return list(self.chosen.messages[: self.chosen.answers_from])
        return self.chosen.prompt_as_json()


Content: TypeAlias = Conversation | PromptCompletion | Text | Preference


def canonical_bytes(value: object) -> bytes:
    """Serialize objects of strings with ASCII keys as RFC 8785 has it, which for these is what `json` does, faster.

    Raises:
        UnicodeEncodeError: a string holds a lone surrogate.
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
