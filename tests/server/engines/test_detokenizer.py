"""Text grows by whole characters, and is in the end what the tokenizer makes of all tokens."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from adapter_server.engines.transformers.detokenizer import Detokenizer

pytestmark = pytest.mark.unit

Decode = Callable[[Sequence[int]], str]
TEXTS = st.text(st.sampled_from("a b é€🙂👩‍🚀\n"), max_size=12)


def byte_level() -> Tokenizer:
    """Every byte is a token, as in the family of GPT-2."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<end>", special=True)])
    return tokenizer


def word_level() -> Tokenizer:
    """Words carry their space, and unknown characters are bytes, as in the family of Llama 2."""
    vocabulary = [f"<0x{byte:02X}>" for byte in range(256)] + ["▁", "a", "b", "▁a", "▁b", "<unk>"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(vocabulary)},
            merges=[("▁", "a"), ("▁", "b")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


TOKENIZERS = [byte_level(), word_level()]


def decode(tokenizer: Tokenizer) -> Decode:
    return lambda tokens: tokenizer.decode(list(tokens), skip_special_tokens=True)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=["byte-level", "word-level"])
@given(prompt=TEXTS, answer=TEXTS)
def test_the_pieces_together_are_the_text_that_follows_the_prompt(
    tokenizer: Tokenizer, prompt: str, answer: str
) -> None:
    tokens = tokenizer.encode(prompt + answer).ids
    begin = len(tokenizer.encode(prompt).ids)
    detokenizer = Detokenizer(decode(tokenizer), tokens[:begin])
    pieces = [detokenizer.push(token) for token in tokens[begin:]] + [detokenizer.finish()]
    assert decode(tokenizer)(tokens[:begin]) + "".join(pieces) == decode(tokenizer)(tokens)
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_of_many_tokens_comes_out_whole() -> None:
    tokenizer = byte_level()
    detokenizer = Detokenizer(decode(tokenizer))
    assert [detokenizer.push(token) for token in tokenizer.encode("a🙂b").ids] == ["a", "", "", "", "🙂", "b"]
    assert detokenizer.finish() == ""


def test_the_beginning_of_a_character_is_dropped_at_the_end() -> None:
    tokenizer = byte_level()
    detokenizer = Detokenizer(decode(tokenizer))
    assert [detokenizer.push(token) for token in tokenizer.encode("a🙂").ids[:-1]] == ["a", "", "", ""]
    assert detokenizer.finish() == ""


def test_a_context_that_begins_within_a_character_does_no_harm() -> None:
    tokenizer = word_level()
    prompt = tokenizer.encode("🙂🙂").ids
    detokenizer = Detokenizer(decode(tokenizer), prompt[2:])
    assert "".join(detokenizer.push(token) for token in prompt[-4:]) == "🙂"


def test_special_tokens_give_no_text() -> None:
    tokenizer = byte_level()
    end = tokenizer.token_to_id("<end>")
    first, second = tokenizer.encode("ab").ids
    detokenizer = Detokenizer(decode(tokenizer))
    assert [detokenizer.push(token) for token in (first, end, second)] == ["a", "", "b"]


def test_bytes_that_are_no_character_do_not_hold_up_what_follows() -> None:
    tokenizer = byte_level()
    lonely = tokenizer.encode("🙂").ids[1]
    detokenizer = Detokenizer(decode(tokenizer))
    assert [detokenizer.push(token) for token in (lonely, tokenizer.encode("a").ids[0])] == ["", "\ufffda"]
