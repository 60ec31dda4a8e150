"""Tokens and labels of an example.

Labels are found by position, by comparing what is rendered with and without the answer; never by the id of a
padding token, which in many models is also the token that ends an answer.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from transformers import PreTrainedTokenizerBase

from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.examples.example import UNLABELLED, Example
from adapter_trainer.examples.formats import Content, Conversation, PromptCompletion
from adapter_trainer.examples.templates import (
    Messages,
    TemplateRefusal,
    chat_template,
    common_prefix,
    end_of_turn,
    render,
)

Finding = Literal["truncated", "split", "answer begins otherwise", "no end of turn"]


@dataclass
class _Sequence:
    tokens: list[int]
    labels: list[int]

    def extend(self, tokens: list[int], start: int) -> None:
        """Go on to `tokens`, which begin with the own ones; from `start` on they are learned."""
        self.labels += [UNLABELLED] * (start - len(self.labels))
        self.labels += tokens[len(self.labels) :]
        self.tokens = tokens


@dataclass
class Labeller:
    """Turns what examples say into tokens and labels, and counts what it meets on the way.

    Attributes:
        tokenizer: of the base model.
        loss_on: `Completion` learns the answers (with the token that ends each), `All` every token.
        max_sequence_length: where sequences are cut, in tokens.
        findings: how many examples were cut, and the like.
    """

    tokenizer: PreTrainedTokenizerBase
    loss_on: Literal["Completion", "All"]
    max_sequence_length: int
    findings: Counter[Finding] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._end_of_turn = end_of_turn(self.tokenizer)

    def require_template(self) -> None:
        """Check that conversations can be rendered.

        Raises:
            BadConfiguration: the base model has no chat template.
        """
        if chat_template(self.tokenizer) is None:
            raise BadConfiguration(
                "dataset.format: examples are Messages, but the base model has no chat template: choose an instruct "
                "model as baseModel, or give examples as PromptCompletion or Text"
            )

    def label(self, content: Content, where: str) -> list[Example]:
        """Return the sequences of an example that have something to learn; none if it is unusable.

        There are several where the template rewrites earlier turns of a conversation (reasoning models drop their
        thoughts): then each answer is learned behind exactly the prompt that serving would render for it.

        Raises:
            BadData: the chat template refuses the conversation; `where` names it.
        """
        if isinstance(content, Conversation):
            try:
                sequences = self._conversation(content.messages)
            except TemplateRefusal as error:
                raise BadData(f"{where}: the chat template of the base model refuses it: {error}") from error
        elif isinstance(content, PromptCompletion):
            sequences = [self._continuation(content.prompt, content.completion)]
        else:
            sequences = [self._continuation("", content.text)]
        if any(len(sequence.tokens) > self.max_sequence_length for sequence in sequences):
            self.findings["truncated"] += 1
        return [example for sequence in sequences if (example := self._cut(sequence)).labelled_tokens]

    def _cut(self, sequence: _Sequence) -> Example:
        end = self.max_sequence_length
        return Example(tuple(sequence.tokens[:end]), tuple(sequence.labels[:end]))

    def _conversation(self, messages: Messages) -> list[_Sequence]:
        if self.loss_on == "All":
            tokens = render(self.tokenizer, messages)
            return [_Sequence(tokens, tokens)]
        sequences: list[_Sequence] = []
        for position, message in enumerate(messages):
            # An answer that opens a conversation answers nothing: it is only read.
            if message["role"] != "assistant" or position == 0:
                continue
            turn, start = self._turn(messages, position)
            if not sequences or turn[: len(sequences[-1].tokens)] != sequences[-1].tokens:
                sequences.append(_Sequence([], []))
            sequences[-1].extend(turn, start)
        self.findings["split"] += len(sequences) > 1
        return sequences

    def _turn(self, messages: Messages, position: int) -> tuple[list[int], int]:
        """Return the tokens up to the end of the answer at `position`, and where the answer begins."""
        prompt = render(self.tokenizer, messages[:position], answer_follows=True)
        turn = render(self.tokenizer, messages[: position + 1])
        start = common_prefix(prompt, turn)
        # One token less is a token that spans the border, such as a line feed that merges with the answer's own.
        self.findings["answer begins otherwise"] += start < len(prompt) - 1
        for end in range(len(turn), start, -1):
            if turn[end - 1] == self._end_of_turn:
                # What the template puts behind it is never generated.
                return turn[:end], start
        self.findings["no end of turn"] += 1
        return turn, start

    def _continuation(self, prompt: str, completion: str) -> _Sequence:
        tokens = list(self.tokenizer(prompt + completion)["input_ids"])
        eos = self.tokenizer.eos_token_id
        if eos is not None and tokens[-1:] != [eos]:
            tokens.append(eos)
        before = list(self.tokenizer(prompt)["input_ids"]) if prompt and self.loss_on == "Completion" else []
        start = common_prefix(before, tokens)
        return _Sequence(tokens, [UNLABELLED] * start + tokens[start:])
