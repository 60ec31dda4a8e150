r"""Go's regular expressions (RE2) on top of Python's ``re``.

Both read most patterns alike, and where they differ a schema's ``pattern`` must mean what it means to the
API server: ``$`` matches at the very end only, ``\d \w \s \b`` are ASCII, ``\z`` and ``[[:alpha:]]`` exist,
look-around and back-references don't. A pattern is therefore parsed by Go's grammar (the documentation of
``regexp/syntax``) and written again for ``re``; what Go refuses is refused here in the same words.

Unlike RE2, ``re`` backtracks: a pattern such as ``(a+)+$`` can take exponential time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from adapter_devcluster.apiextensions.unicode_sets import Ranges, category, complement, is_category, merge

_MAX_REPEAT = 1000
_MAX_NESTING = 100
_PERL: dict[str, Ranges] = {
    "d": ((48, 57),),
    "s": ((9, 10), (12, 13), (32, 32)),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
}
_POSIX: dict[str, Ranges] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": ((48, 57),),
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_CONTROL = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_REPEAT = re.compile(r"\{(\d+)(,(\d*))?\}")
_FLAGS = re.compile(r"([imsU]*)(-[imsU]+)?([:)])")
_NAMED_GROUP = re.compile(r"P?<(\w+)>", re.ASCII)
_HEX = re.compile(r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})")
_UNICODE_CLASS = re.compile(r"[pP](?:\{(\^?)(\w+)\}|(\w))", re.ASCII)
_POSIX_CLASS = re.compile(r"\[:(\^?)(\w+):\]", re.ASCII)


class PatternError(ValueError):
    """A pattern that Go would refuse. The message is Go's."""

    def __init__(self, code: str, near: str) -> None:
        super().__init__(f"error parsing regexp: {code}: `{near}`")


@lru_cache(maxsize=2048)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a Go pattern; use ``.search(text)`` for Go's MatchString. Raises PatternError."""
    source = _Translator(pattern).translate()
    try:
        return re.compile(source)
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"not supported here ({error})", pattern) from error


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    multiline: bool = False
    dot_all: bool = False
    ungreedy: bool = False

    def changed(self, letters: str, *, to: bool) -> _Flags:
        names = {"i": "fold", "m": "multiline", "s": "dot_all", "U": "ungreedy"}
        return replace(self, **{names[letter]: to for letter in letters})


@dataclass(slots=True)
class _Piece:
    """A piece of the written pattern; ``repeats`` is the product of the counts nested in it."""

    text: str
    repeats: int = 1


class _Translator:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.depth = 0
        self.names: set[str] = set()

    def translate(self) -> str:
        piece = self.alternation(_Flags())
        if self.at < len(self.pattern):
            raise PatternError("unexpected )", self.pattern)
        return piece.text

    def peek(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def alternation(self, flags: _Flags) -> _Piece:
        """Everything up to a closing parenthesis or the end."""
        branches: list[str] = []
        sequence: list[_Piece] = []
        repeats = 1
        while self.at < len(self.pattern) and not self.peek(")"):
            if self.peek("|"):
                self.at += 1
                branches.append("".join(p.text for p in sequence))
                sequence = []
            elif self.peek("(?") and (changed := self.flag_group(flags)) is not None:
                flags = changed
            else:
                piece = self.repeated(self.atom(flags), flags)
                repeats = max(repeats, piece.repeats)
                sequence.append(piece)
        branches.append("".join(p.text for p in sequence))
        return _Piece("|".join(branches), repeats)

    def flag_group(self, flags: _Flags) -> _Flags | None:
        """``(?i)`` changes the flags up to the end of the enclosing group; ``(?i:`` does not."""
        match = _FLAGS.match(self.pattern, self.at + 2)
        if match is None or match[3] == ":":
            return None
        if not match[1] and not match[2]:
            raise PatternError("missing argument to repetition operator", "?")
        self.at = match.end()
        return flags.changed(match[1], to=True).changed((match[2] or "-")[1:], to=False)

    def repeated(self, atom: _Piece, flags: _Flags) -> _Piece:
        start = self.at
        operator = self.operator()
        if not operator:
            return atom
        lazy = self.peek("?")
        self.at += lazy
        after = self.at
        if self.operator():
            raise PatternError("invalid nested repetition operator", self.pattern[start : self.at])
        self.at = after
        count = _count(operator)
        if atom.repeats * count > _MAX_REPEAT:
            raise PatternError("invalid repeat count", operator)
        return _Piece(f"(?:{atom.text}){operator}{'?' if lazy != flags.ungreedy else ''}", atom.repeats * count)

    def operator(self) -> str:
        """Read a repetition operator, or nothing: ``{`` is a literal unless a count follows."""
        if self.at < len(self.pattern) and self.pattern[self.at] in "*+?":
            self.at += 1
            return self.pattern[self.at - 1]
        match = _REPEAT.match(self.pattern, self.at)
        if match is None:
            return ""
        self.at = match.end()
        low, high = int(match[1]), int(match[3] or match[1])
        if low > _MAX_REPEAT or high > _MAX_REPEAT or high < low:
            raise PatternError("invalid repeat count", match[0])
        return match[0]

    def atom(self, flags: _Flags) -> _Piece:
        match self.pattern[self.at]:
            case "(":
                return self.group(flags)
            case "[":
                return _Piece(self.char_class(flags))
            case "\\":
                return _Piece(self.escape(flags))
        start = self.at
        if self.operator():
            raise PatternError("missing argument to repetition operator", self.pattern[start : self.at])
        self.at += 1
        return _Piece(_plain(self.pattern[start], flags))

    def group(self, flags: _Flags) -> _Piece:
        start = self.at
        self.at += 1
        if self.peek("?"):
            self.at += 1
            flags = self.group_kind(flags, start)
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise PatternError("expression nests too deeply", self.pattern)
        inner = self.alternation(flags)
        self.depth -= 1
        if not self.peek(")"):
            raise PatternError("missing closing )", self.pattern)
        self.at += 1
        return _Piece(f"(?:{inner.text})", inner.repeats)

    def group_kind(self, flags: _Flags, start: int) -> _Flags:
        if match := _NAMED_GROUP.match(self.pattern, self.at):
            if match[1] in self.names:
                raise PatternError("duplicate capture group name", match[1])
            self.names.add(match[1])
            self.at = match.end()
            return flags
        match = _FLAGS.match(self.pattern, self.at)
        if match is None:
            near = self.pattern[start : self.at + 1]
            raise PatternError("invalid or unsupported Perl syntax", near)
        self.at = match.end()
        return flags.changed(match[1], to=True).changed((match[2] or "-")[1:], to=False)

    def escape(self, flags: _Flags) -> str:
        """An escape outside of a class."""
        self.at += 1
        if self.at == len(self.pattern):
            raise PatternError("trailing backslash at end of expression", "")
        char = self.pattern[self.at]
        anchors = {"A": r"\A", "z": r"\Z", "b": r"(?a:\b)", "B": r"(?a:\B)"}
        if char in anchors:
            self.at += 1
            return anchors[char]
        if char == "Q":
            return self.quoted(flags)
        ranges = self.class_escape()
        if ranges is not None:
            return _written(ranges, flags, negated=False)
        return _literal(self.char_escape(), flags)

    def quoted(self, flags: _Flags) -> str:
        r"""``\Q...\E``: an operator after it repeats the last character only, so escape each one in place."""
        text, _, rest = self.pattern[self.at + 1 :].partition(r"\E")
        escaped = "".join(c if c.isalnum() or c >= "\x80" else f"\\x{{{ord(c):x}}}" for c in text)
        self.pattern, self.at = escaped + rest, 0
        return self.atom(flags).text if escaped else ""

    def class_escape(self) -> Ranges | None:
        r"""``\d``, ``\p{L}`` and their like, after the backslash; None where it is none of them."""
        char = self.pattern[self.at]
        if char.lower() in _PERL:
            self.at += 1
            ranges = _PERL[char.lower()]
            return complement(ranges) if char.isupper() else ranges
        if char not in "pP":
            return None
        match = _UNICODE_CLASS.match(self.pattern, self.at)
        name = (match[2] or match[3]) if match else ""
        if match is None or (not is_category(name) and name != "Any"):
            near = match[0] if match else self.pattern[self.at :]
            if match is not None and name.istitle():
                raise PatternError("Unicode scripts are not supported here, though a server knows them", f"\\{near}")
            raise PatternError("invalid character class range", f"\\{near}")
        self.at = match.end()
        ranges = ((0, 0x10FFFF),) if name == "Any" else category(name)
        return complement(ranges) if (char == "P") != bool(match[1]) else ranges

    def char_escape(self) -> str:
        """Read an escaped character, after the backslash."""
        char = self.pattern[self.at]
        start = self.at
        self.at += 1
        if char in _CONTROL:
            return _CONTROL[char]
        if char in "01234567":
            octal = re.compile(r"[0-7]{1,3}" if char == "0" else r"[0-7]{2,3}").match(self.pattern, start)
            if octal is not None:
                self.at = octal.end()
                return chr(int(octal[0], 8))
        elif char == "x" and (match := _HEX.match(self.pattern, start)):
            code = int(match[1] or match[2], 16)
            if code <= 0x10FFFF:
                self.at = match.end()
                return chr(code)
        elif char < "\x80" and not char.isalnum():
            return char
        raise PatternError("invalid escape sequence", f"\\{char}")

    def char_class(self, flags: _Flags) -> str:
        start = self.at
        self.at += 1
        negated = self.peek("^")
        self.at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self.peek("]"):
            if self.at >= len(self.pattern):
                raise PatternError("missing closing ]", self.pattern[start:])
            first = False
            ranges.extend(self.class_item(start))
        self.at += 1
        return _written(merge(ranges), flags, negated=negated)

    def class_item(self, start: int) -> Ranges:
        if match := _POSIX_CLASS.match(self.pattern, self.at):
            if match[2] not in _POSIX:
                raise PatternError("invalid character class range", match[0])
            self.at = match.end()
            return complement(_POSIX[match[2]]) if match[1] else _POSIX[match[2]]
        item = self.at
        low = self.class_char(start)
        if not isinstance(low, str):
            return low
        following = self.pattern[self.at + 1 : self.at + 2]
        if not self.peek("-") or following in {"]", ""}:
            return ((ord(low), ord(low)),)
        self.at += 1
        high = self.class_char(start)
        if not isinstance(high, str) or high < low:
            raise PatternError("invalid character class range", self.pattern[item : self.at])
        return ((ord(low), ord(high)),)

    def class_char(self, start: int) -> str | Ranges:
        if self.at >= len(self.pattern):
            raise PatternError("missing closing ]", self.pattern[start:])
        char = self.pattern[self.at]
        self.at += 1
        if char != "\\":
            return char
        if self.at >= len(self.pattern):
            raise PatternError("trailing backslash at end of expression", "")
        ranges = self.class_escape()
        return self.char_escape() if ranges is None else ranges


def _count(operator: str) -> int:
    """How often an operator may repeat, for the limit on nested counts: open ends count as their start."""
    match = _REPEAT.fullmatch(operator)
    if match is None:
        return 1
    return max(1, int(match[3] or match[1]))


def _plain(char: str, flags: _Flags) -> str:
    """Write a character that stands by itself: an anchor, the dot, or a literal."""
    match char:
        case "^":
            return "(?m:^)" if flags.multiline else r"\A"
        case "$":
            return "(?m:$)" if flags.multiline else r"\Z"
        case ".":
            return "(?s:.)" if flags.dot_all else r"[^\n]"
    return _literal(char, flags)


def _literal(char: str, flags: _Flags) -> str:
    return f"(?i:{re.escape(char)})" if flags.fold and char.isalpha() else re.escape(char)


def _written(ranges: Ranges, flags: _Flags, *, negated: bool) -> str:
    if not ranges:
        return r"(?s:.)" if negated else r"(?!)"
    inner = "".join(f"\\U{low:08x}" + (f"-\\U{high:08x}" if high > low else "") for low, high in ranges)
    text = f"[{'^' if negated else ''}{inner}]"
    return f"(?i:{text})" if flags.fold else text
