"""Tokens and labels of examples.

Labels are found by position, by comparing what is rendered with and without the answer; never by the id of a
padding token, which in many models is also the token that ends an answer.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from transformers import PreTrainedTokenizerBase

from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Content, Conversation, Preference, PromptCompletion, Text
from adapter_trainer.examples.encoding import TextEncoder
from adapter_trainer.examples.example import UNLABELLED, Example, PreferencePair, Unit
from adapter_trainer.examples.refusals import ChatTemplateMissing
from adapter_trainer.examples.templates import TemplateRefusal, chat_template, common_prefix, end_of_turn, render

Finding = Literal[
    "truncated",
    "answer cut",
    "split",
    "answer begins otherwise",
    "no end of turn",
    "empty answer",
    "unlabelled",
    "equal answers",
]
"""What is worth telling about an example; `unlabelled` and `equal answers` make it unusable."""

Tokens: TypeAlias = Sequence[int]


@dataclass(frozen=True, slots=True)
class _Turn:
    """Two texts: up to where an answer begins, and up to where it ends, with what the template puts behind it."""

    prompt: str
    whole: str


@dataclass(frozen=True, slots=True)
class _Passage:
    """The answers of one conversation or text, before they are tokens.

    Attributes:
        turns: one per answer, in order.
        rendered: a chat template made the texts, special tokens and all.
        everything: all tokens are learned; there is one turn, without a prompt.
    """

    turns: tuple[_Turn, ...]
    rendered: bool
    everything: bool


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
        loss_on: `Completion` learns the answers (with the token that ends each), `All` every token. Of a preference
            pair the answers are labelled either way.
        max_sequence_length: where sequences are cut, in tokens.
        findings: how many examples were cut, and the like.
        longest: tokens of the longest sequence, before it is cut.
        answers: how many answers there were, the empty ones included.
    """

    tokenizer: PreTrainedTokenizerBase
    loss_on: Literal["Completion", "All"]
    max_sequence_length: int
    findings: Counter[Finding] = field(default_factory=Counter)
    longest: int = 0
    answers: int = 0

    def __post_init__(self) -> None:
        self._end_of_turn = end_of_turn(self.tokenizer)
        self._encoder = TextEncoder(self.tokenizer, self._end_of_turn)
        self._has_template = chat_template(self.tokenizer) is not None

    def require_template(self, shape: str) -> None:
        """Check that conversations can be rendered.

        Raises:
            ChatTemplateMissing: the base model has no chat template.
        """
        if not self._has_template:
            raise ChatTemplateMissing(
                f"dataset.format: examples are {shape}, but the base model has no chat template: choose an "
                "instruct model as baseModel, or give examples as PromptCompletion or Text, in strings"
            )

    def label(self, contents: Sequence[Content], where: Sequence[str]) -> list[tuple[Unit, ...] | BadData]:
        """Return what is to learn of each example; nothing if it is unusable, an error if it is refused.

        A conversation gives several sequences where the template rewrites earlier turns (reasoning models drop their
        thoughts): then each answer is learned behind exactly the prompt that serving would render for it.

        Args:
            contents: a batch of examples, the larger the faster.
            where: names each for messages.

        Raises:
            ChatTemplateMissing: there are conversations, but the base model has no chat template.
        """
        plans: list[list[_Passage] | BadData] = []
        for content, place in zip(contents, where, strict=True):
            try:
                plans.append(self._plan(content))
            except TemplateRefusal as error:
                plans.append(BadData(f"{place}: the chat template of the base model refuses it: {error}"))
        tokens = self._tokens(passage for plan in plans if not isinstance(plan, BadData) for passage in plan)
        return [plan if isinstance(plan, BadData) else self._units(plan, tokens) for plan in plans]

    def _plan(self, content: Content) -> list[_Passage]:
        if isinstance(content, Preference):
            return [self._passage(content.chosen, "Completion"), self._passage(content.rejected, "Completion")]
        return [self._passage(content, self.loss_on)]

    def _passage(self, content: Conversation | PromptCompletion | Text, loss_on: str) -> _Passage:
        if isinstance(content, Text):
            return _Passage((_Turn("", content.text),), rendered=False, everything=True)
        if isinstance(content, PromptCompletion):
            self._count_answer(content.completion)
            prompt = content.prompt if loss_on == "Completion" else ""
            turn = _Turn(prompt, content.prompt + content.completion)
            return _Passage((turn,), rendered=False, everything=not prompt)
        self.require_template("messages")
        messages = content.messages
        if loss_on == "All":
            return _Passage((_Turn("", render(self.tokenizer, messages)),), rendered=True, everything=True)
        turns = []
        for position in content.answers():
            self._count_answer(messages[position]["content"])
            prompt = render(self.tokenizer, messages[:position], answer_follows=True)
            turns.append(_Turn(prompt, render(self.tokenizer, messages[: position + 1])))
        return _Passage(tuple(turns), rendered=True, everything=False)

    def _count_answer(self, text: str) -> None:
        self.answers += 1
        self.findings["empty answer"] += not text

    def _tokens(self, passages: Iterator[_Passage]) -> dict[tuple[bool, str], list[int]]:
        """Encode all texts of a batch, each once."""
        rendered: dict[str, None] = {}
        plain: dict[str, None] = {}
        for passage in passages:
            texts = rendered if passage.rendered else plain
            for turn in passage.turns:
                texts[turn.whole] = None
                if turn.prompt:
                    texts[turn.prompt] = None
        found = {(True, text): ids for text, ids in zip(rendered, self._encoder.rendered([*rendered]), strict=True)}
        found |= {(False, text): ids for text, ids in zip(plain, self._encoder.plain([*plain]), strict=True)}
        return found

    def _units(self, passages: Sequence[_Passage], tokens: dict[tuple[bool, str], list[int]]) -> tuple[Unit, ...]:
        sequences = [self._sequences(passage, tokens) for passage in passages]
        self.findings["split"] += any(len(found) > 1 for found in sequences)
        lengths = [len(one.tokens) for found in sequences for one in found]
        self.longest = max([self.longest, *lengths])
        if any(length > self.max_sequence_length for length in lengths):
            self.findings["truncated"] += 1
            self.findings["answer cut"] += any(self._loses_answer(one) for found in sequences for one in found)
        examples = [[self._cut(one) for one in found] for found in sequences]
        if len(examples) == 1:
            units = tuple(example for example in examples[0] if example.labelled_tokens)
            self.findings["unlabelled"] += not units
            return units
        return self._pair(*examples)

    def _pair(self, chosen: Sequence[Example], rejected: Sequence[Example]) -> tuple[Unit, ...]:
        """Return the pair of the last answers, unless there is nothing to prefer."""
        if not (chosen and rejected and chosen[-1].labelled_tokens and rejected[-1].labelled_tokens):
            self.findings["equal answers" if chosen == rejected == [] else "unlabelled"] += 1
            return ()
        if chosen[-1] == rejected[-1]:
            self.findings["equal answers"] += 1
            return ()
        return (PreferencePair(chosen[-1], rejected[-1]),)

    def _cut(self, sequence: _Sequence) -> Example:
        end = self.max_sequence_length
        return Example.of(sequence.tokens[:end], sequence.labels[:end])

    def _loses_answer(self, sequence: _Sequence) -> bool:
        return any(label != UNLABELLED for label in sequence.labels[self.max_sequence_length :])

    def _sequences(self, passage: _Passage, tokens: dict[tuple[bool, str], list[int]]) -> list[_Sequence]:
        sequences: list[_Sequence] = []
        for turn in passage.turns:
            whole = tokens[passage.rendered, turn.whole]
            prompt = tokens[passage.rendered, turn.prompt] if turn.prompt else []
            if passage.rendered and not passage.everything:
                whole, start = self._answer(prompt, whole)
            else:
                whole, start = self._ended(whole) if not passage.rendered else whole, common_prefix(prompt, whole)
            if not sequences or whole[: len(sequences[-1].tokens)] != sequences[-1].tokens:
                sequences.append(_Sequence([], []))
            sequences[-1].extend(whole, start)
        return sequences

    def _answer(self, prompt: Tokens, whole: list[int]) -> tuple[list[int], int]:
        """Return the tokens up to the end of a rendered answer, and where the answer begins."""
        start = common_prefix(prompt, whole)
        # One token less is a token that spans the border, such as a line feed that merges with the answer's own.
        self.findings["answer begins otherwise"] += start < len(prompt) - 1
        for end in range(len(whole), start, -1):
            if whole[end - 1] == self._end_of_turn:
                # What the template puts behind it is never generated.
                return whole[:end], start
        self.findings["no end of turn"] += 1
        return whole, start

    def _ended(self, tokens: list[int]) -> list[int]:
        """Return the tokens of a text with the one that ends every text; it stands there once."""
        eos = self.tokenizer.eos_token_id
        return tokens if eos is None or tokens[-1:] == [eos] else [*tokens, eos]
