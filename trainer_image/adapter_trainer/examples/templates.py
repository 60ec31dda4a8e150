"""The tokenizer and its chat template: how a conversation becomes tokens, and which tokens end an answer."""

import json
from collections.abc import Sequence
from pathlib import Path

import jinja2
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from adapter_contract import Digest, sha256_bytes
from adapter_contract.manifest import PromptFormat, StopToken
from adapter_trainer.errors import BadConfiguration

Messages = Sequence[dict[str, str]]

_LONGEST_REASON = 200
_PROBE_ANSWER = "Hello"
_PROBE: Messages = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": _PROBE_ANSWER})


class TemplateRefusal(Exception):
    """The chat template refuses a conversation, for example because roles must alternate."""


class BrokenTemplate(BadConfiguration):
    """The chat template is none: whatever the conversation, it can't be rendered."""


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """Load the base model's tokenizer; nothing is fetched and no code of the model's is run.

    Raises:
        BadConfiguration: transformers can't load it.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # the tokenizers library raises plain Exception, transformers whatever a bad file leads to
        if getattr(error, "errno", None) is not None:  # the system's: the volume is at fault, not the model
            raise
        raise BadConfiguration(
            f"baseModel: transformers can't load the tokenizer of the base model ({_in_short(error)}): "
            "its directory must hold tokenizer.json and tokenizer_config.json"
        ) from error
    return tokenizer


def render(tokenizer: PreTrainedTokenizerBase, messages: Messages, *, answer_follows: bool = False) -> str:
    """Return a conversation as the text that serving renders; special tokens stand in it.

    Args:
        tokenizer: of the base model.
        messages: with role and content.
        answer_follows: end where the assistant begins to answer (transformers' `add_generation_prompt`).

    Raises:
        TemplateRefusal: the template refuses the conversation, or fails on it; the reason is the template's.
        BrokenTemplate: it has an error of syntax.
    """
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=answer_follows))
    except jinja2.TemplateSyntaxError as error:
        raise BrokenTemplate(
            f"baseModel: the chat template of the base model has an error of syntax in line {error.lineno} "
            f"({_in_short(error)}): correct it, or choose another base model"
        ) from error
    except jinja2.TemplateError as error:
        raise TemplateRefusal(_in_short(error)) from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise TemplateRefusal(f"it fails on it ({type(error).__name__}: {_in_short(error)})") from error


def rendered_tokens(
    tokenizer: PreTrainedTokenizerBase, messages: Messages, *, answer_follows: bool = False
) -> list[int]:
    """Return the tokens of a rendered conversation, exactly as serving has them.

    Raises:
        TemplateRefusal: as `render`.
        BrokenTemplate: likewise.
    """
    text = render(tokenizer, messages, answer_follows=answer_follows)
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def chat_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return the template that conversations are rendered with, if there is one."""
    if not tokenizer.chat_template:
        return None
    return str(tokenizer.get_chat_template())


def chat_template_digest(tokenizer: PreTrainedTokenizerBase) -> Digest | None:
    """Return the digest of the chat template's UTF-8 bytes, if there is one."""
    template = chat_template(tokenizer)
    return None if template is None else sha256_bytes(template.encode())


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the special token with which the chat template ends an answer, where it has one.

    It is found in a rendered answer, not taken from the configuration: in some models it is not the end-of-sequence
    token (Phi 3 closes a turn with `<|end|>`), and it is what the model has to learn.
    """
    if chat_template(tokenizer) is None:
        return None
    try:
        prompt = rendered_tokens(tokenizer, _PROBE[:1], answer_follows=True)
        turn = rendered_tokens(tokenizer, _PROBE)
    except (TemplateRefusal, BrokenTemplate):
        return None
    special = _special_ids(tokenizer)
    tail = turn[common_prefix(prompt, turn) :]
    for position, token in enumerate(tail):
        if token in special and _PROBE_ANSWER in str(tokenizer.decode(tail[:position])):
            return token
    return None


def prompt_format(tokenizer: PreTrainedTokenizerBase, directory: Path) -> PromptFormat:
    """Describe how prompts are built and answers end, for the manifest.

    Args:
        tokenizer: of the base model.
        directory: the base model's; its generation_config.json may name further tokens that end an answer. Numbers
            in it that the tokenizer has no token for are left out: the model may have been made from another one.

    Raises:
        BadConfiguration: generation_config.json can't be read.
    """
    ids = {tokenizer.eos_token_id, end_of_turn(tokenizer), *_generation_stops(directory)} - {None}
    known = sorted(token for token in ids if token < len(tokenizer))
    tokens = [StopToken(id=token, text=str(tokenizer.convert_ids_to_tokens(token))) for token in known]
    return PromptFormat(chat_template_digest=chat_template_digest(tokenizer), stop_tokens=tuple(tokens))


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their beginning."""
    for position, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return position
    return min(len(one), len(other))


def _in_short(error: Exception) -> str:
    """Return what a library or a template says, in one line: it may quote much of a file, or of a conversation."""
    return " ".join(str(error).split())[:_LONGEST_REASON]


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def _generation_stops(directory: Path) -> set[int]:
    path = directory / "generation_config.json"
    if not path.exists():
        return set()
    try:
        stops = json.loads(path.read_bytes()).get("eos_token_id")
    except (ValueError, AttributeError, RecursionError) as error:
        raise BadConfiguration(
            f"baseModel: generation_config.json of the base model can't be read: {error}; copy the model again"
        ) from error
    found = stops if isinstance(stops, list) else [] if stops is None else [stops]
    if not all(type(stop) is int and stop >= 0 for stop in found):
        raise BadConfiguration(
            "baseModel: eos_token_id in generation_config.json of the base model must be the number of a token, or a "
            "list of them: correct it, or remove it"
        )
    return set(found)
