"""Texts to token ids, many at once, and each part of a text once.

The prompt of an answer is most of what stands before its end, and each turn of a conversation repeats the turns
before it. A text is therefore divided behind each special token that ends a turn. What follows such a token is
encoded independently of what precedes it: tokenizers find special tokens first and treat the pieces between them one
by one. A piece is encoded with the special token before it, since some tokenizers treat the beginning of a text in a
way of their own (a space is added, for example).
"""

from collections.abc import Iterable, Sequence

from transformers import PreTrainedTokenizerBase


class TextEncoder:
    """Encodes what a chat template rendered, and other texts.

    Attributes:
        tokenizer: of the base model.
        border: the text of the special token behind which texts are divided; None where they can't be.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_of_turn: int | None) -> None:
        """Check whether texts can be divided behind the token that ends a turn."""
        self.tokenizer = tokenizer
        self.border = _border(tokenizer, end_of_turn)
        self._border_id = end_of_turn

    def rendered(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts that a chat template rendered: special tokens stand in them already."""
        if self.border is None:
            return self._encode(texts, special=False)
        divided = [_pieces(text, self.border) for text in texts]
        different = list(dict.fromkeys(piece for pieces in divided for piece in pieces))
        tokens = dict(zip(different, self._encode(different, special=False), strict=True))
        if any(piece.startswith(self.border) and ids[:1] != [self._border_id] for piece, ids in tokens.items()):
            self.border = None  # this tokenizer does not treat pieces one by one after all
            return self._encode(texts, special=False)
        return [_joined(tokens[piece] for piece in pieces) for pieces in divided]

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of texts, with the special tokens that the tokenizer puts around a text.

        A token that begins every text is not put before one that has it already.
        """
        different = list(dict.fromkeys(texts))
        tokens = dict(zip(different, self._encode(different, special=True), strict=True))
        bos = self.tokenizer.bos_token_id
        for text, ids in tokens.items():
            if bos is not None and ids[:2] == [bos, bos]:
                tokens[text] = ids[1:]
        return [list(tokens[text]) for text in texts]

    def _encode(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        if not texts:
            return []
        if self.tokenizer.is_fast:
            backend = self.tokenizer.backend_tokenizer
            backend.no_truncation()
            backend.no_padding()
            return [one.ids for one in backend.encode_batch_fast(list(texts), add_special_tokens=special)]
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=special,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return list(encoded["input_ids"])


def _border(tokenizer: PreTrainedTokenizerBase, end_of_turn: int | None) -> str | None:
    token = None if end_of_turn is None else tokenizer.added_tokens_decoder.get(end_of_turn)
    if token is None or not tokenizer.is_fast:
        return None
    plain = token.special and not (token.normalized or token.lstrip or token.rstrip or token.single_word)
    others = (other.content for number, other in tokenizer.added_tokens_decoder.items() if number != end_of_turn)
    alone = not any(_may_meet(token.content, other) for other in others)
    return token.content if plain and alone and not tokenizer.split_special_tokens else None


def _may_meet(border: str, other: str) -> bool:
    """Tell whether another token may take characters of the border: it holds it or a part of it at one of its ends."""
    parts = range(1, len(border))
    return border in other or any(
        other.endswith(border[:length]) or other.startswith(border[-length:]) for length in parts
    )


def _pieces(text: str, border: str) -> list[str]:
    """Divide a text behind each border; each piece but the first begins with the border that is before it."""
    first, *rest = text.split(border)
    if not rest:
        return [first] if first else []
    return [first, *(border + piece for piece in rest)] if first else [border + piece for piece in rest]


def _joined(parts: Iterable[Sequence[int]]) -> list[int]:
    return [token for part in parts for token in part]
