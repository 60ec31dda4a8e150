"""Tokens of the Common Expression Language (the grammar of the language definition, google/cel-spec)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from adapter_devcluster.apiextensions.go_text import INT64_MAX, INT64_MIN

Kind: TypeAlias = Literal["literal", "ident", "op", "end"]

# Words that the grammar keeps for itself; `in`, `true`, `false` and `null` are part of it already.
RESERVED: Final = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "namespace",
        "package",
        "return",
        "var",
        "void",
        "while",
    }
)
_LIMIT = 100_000
_KEYWORDS: Final = {"true": True, "false": False, "null": None}
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "?": "?",
    '"': '"',
    "'": "'",
    "`": "`",
}
_TOKEN = re.compile(
    r"""
      (?P<space>[\t\n\f\r ]+ | //[^\n]*)
    | (?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)? | [0-9]+[eE][+-]?[0-9]+ | \.[0-9]+(?:[eE][+-]?[0-9]+)?)
    | (?P<int>0x[0-9a-fA-F]+ | [0-9]+)(?P<unsigned>[uU])?
    | (?P<prefix>[rR]?[bB]|[bB]?[rR])?(?P<quote>\"\"\"|'''|"|')
    | (?P<ident>[a-zA-Z_][a-zA-Z0-9_]*)
    | (?P<op>==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)


class Uint(int):
    """An unsigned integer, which CEL keeps apart from ``int``."""

    __slots__ = ()


class CelSyntaxError(ValueError):
    """An expression that can't be read; ``at`` is the offset of what is wrong."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression: its kind, its text, its value where it is a literal, and its offset."""

    kind: Kind
    text: str
    at: int
    value: object = None


def tokenize(source: str) -> list[Token]:
    """Split an expression into tokens, an end token last. Raises CelSyntaxError."""
    if len(source) > _LIMIT:
        message = f"expression code point size exceeds limit: size: {len(source)}, limit {_LIMIT}"
        raise CelSyntaxError(message, 0)
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            message = f"Syntax error: token recognition error at: '{source[at]}'"
            raise CelSyntaxError(message, at)
        at = match.end()
        if match["quote"] is not None:
            token, at = _quoted(source, match)
            tokens.append(token)
        elif match["space"] is None:
            tokens.append(_simple(match))
    return [*tokens, Token("end", "<EOF>", len(source))]


def _simple(match: re.Match[str]) -> Token:
    text, at = match[0], match.start()
    if match["float"] is not None:
        return Token("literal", text, at, float(text))
    if match["int"] is not None:
        return Token("literal", text, at, _integer(match))
    if match["ident"] is None or text == "in":
        return Token("op", text, at)
    if text in _KEYWORDS:
        return Token("literal", text, at, _KEYWORDS[text])
    return Token("ident", text, at)


def _integer(match: re.Match[str]) -> int:
    value = int(match["int"], 16 if match["int"].startswith("0x") else 10)
    # One more than the largest is let through: a minus sign may stand before it.
    if value > (INT64_MAX - INT64_MIN if match["unsigned"] else -INT64_MIN):
        kind = "uint" if match["unsigned"] else "int"
        raise CelSyntaxError(f"invalid {kind} literal", match.start())
    return Uint(value) if match["unsigned"] else value


def _quoted(source: str, match: re.Match[str]) -> tuple[Token, int]:
    prefix, quote, start = (match["prefix"] or "").lower(), match["quote"], match.end()
    end = start
    while not source.startswith(quote, end):
        if end >= len(source) or (len(quote) == 1 and source[end] in "\r\n"):
            message = f"Syntax error: token recognition error at: '{source[match.start() : end]}'"
            raise CelSyntaxError(message, match.start())
        end += 2 if source[end] == "\\" and "r" not in prefix else 1
    body = source[start:end]
    end += len(quote)
    if "b" in prefix:
        value: object = body.encode() if "r" in prefix else _unescaped_bytes(body, match.start())
    else:
        value = body if "r" in prefix else _unescaped(body, match.start())
    return Token("literal", source[match.start() : end], match.start(), value), end


def _unescaped(body: str, at: int) -> str:
    def replace(match: re.Match[str]) -> str:
        code = _code(match)
        if code is None:
            return _simple_escape(match, at)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise CelSyntaxError("invalid unicode code point", at)
        return chr(code)

    return _ESCAPE.sub(replace, body)


def _unescaped_bytes(body: str, at: int) -> bytes:
    parts: list[bytes] = []
    last = 0
    for match in _ESCAPE.finditer(body):
        parts.append(body[last : match.start()].encode())
        last = match.end()
        code = _code(match)
        if match[2] or match[3]:
            raise CelSyntaxError("unable to unescape string", at)
        parts.append(_simple_escape(match, at).encode() if code is None else bytes([code]))
    return b"".join([*parts, body[last:].encode()])


def _code(match: re.Match[str]) -> int | None:
    for group in (1, 2, 3):
        if match[group]:
            return int(match[group], 16)
    return int(match[4], 8) if match[4] else None


def _simple_escape(match: re.Match[str], at: int) -> str:
    if match[5] not in _ESCAPES:
        raise CelSyntaxError("unable to unescape string", at)
    return _ESCAPES[match[5]]
