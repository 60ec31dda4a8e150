"""The base's tokenizer: prompts to tokens, tokens to text, and which tokens end an answer."""

import copy
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapter_contract import Digest, sha256_bytes
from adapter_server.engines.engine import InvalidRequest

_MARK = "Answer"


class Prompts:
    """A tokenizer of transformers for many threads.

    Its fast tokenizers change state of their own before they encode, and fail where another thread uses them just
    then. So encoding takes turns, and decoding, which changes nothing, has a copy to itself.
    """

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - transformers builds the class when it is imported
        self._tokenizer = tokenizer
        self._decoder = copy.deepcopy(tokenizer)
        self._turn = threading.Lock()

    @property
    def template_digest(self) -> Digest | None:
        """The digest of the template that conversations are rendered with, as a manifest has it; None without one.

        A tokenizer may have several by name; conversations are rendered with the one named `default`.
        """
        templates = self._tokenizer.chat_template
        if not templates or (isinstance(templates, dict) and "default" not in templates):
            return None
        return sha256_bytes(self._tokenizer.get_chat_template().encode())

    def render_chat(self, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """Return the tokens of a conversation up to where the answer begins.

        Raises:
            InvalidRequest: the template refuses it, or there is no template.
        """
        if self._tokenizer.chat_template is None:
            raise InvalidRequest("messages", "the base model has no chat template: use /v1/completions")
        try:
            # A template is a program of the base; whatever it stumbles over is in the messages.
            text = self._render(messages, add_generation_prompt=True)
        except Exception as error:
            raise InvalidRequest("messages", f"the base's chat template refuses them: {error}") from error
        return self._encode(text, special=False)

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a plain prompt."""
        return self._encode(text, special=True)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text without special tokens; bytes that are no character give U+FFFD."""
        text: str = self._decoder.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def stop_token_ids(self, configured: int | Iterable[int] | None) -> frozenset[int]:
        """Return the tokens that end an answer.

        They are those of the generation configuration, the tokenizer's own, and what the chat template puts behind
        an answer: some bases name only the end of a text, while their template ends turns with another token.

        Args:
            configured: `eos_token_id` of the generation configuration.
        """
        ids: set[int | None] = {configured} if isinstance(configured, int) else set(configured or ())
        ids |= {self._tokenizer.eos_token_id, self._end_of_turn()}
        return frozenset(token for token in ids if token is not None)

    def _end_of_turn(self) -> int | None:
        """Return the special token that the template puts right behind an answer."""
        if self._tokenizer.chat_template is None:
            return None
        turns = [{"role": "user", "content": "Question"}, {"role": "assistant", "content": _MARK}]
        try:
            text = self._render(turns, add_generation_prompt=False)
        except Exception:
            return None
        behind = self._encode(text.rpartition(_MARK)[2], special=False)
        token = self._tokenizer.added_tokens_decoder.get(behind[0]) if behind else None
        return behind[0] if token is not None and token.special else None

    def _render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool) -> str:
        text: str = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages], add_generation_prompt=add_generation_prompt, tokenize=False
        )
        return text

    def _encode(self, text: str, *, special: bool) -> tuple[int, ...]:
        with self._turn:
            return tuple(self._tokenizer.encode(text, add_special_tokens=special))
