"""Patterns mean what they mean to Go."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.apiextensions.patterns import PatternError, compile_pattern

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("^[a-z]+$", "ab", "ab\n"),
        ("(?m)^b$", "a\nb\nc", "abc"),
        (r"\Aa\z", "a", "a\n"),
        (r"^\d+$", "12", "\u0661"),
        (r"^\w+$", "a_1", "é"),
        (r"^\s$", "\t", "\v"),
        (r"^\S$", "\v", " "),
        (r"\bx\b", "éxé", "axa"),
        (r"^\D$", "a", "1"),
        ("a.b", "axb", "a\nb"),
        ("(?s)a.b", "a\nb", "ab"),
        ("(?i)ab", "AB", "a"),
        ("(?i:a)b", "Ab", "AB"),
        ("(?i)[a-c]x", "BX", "DX"),
        ("a(?i)b|c", "C", "AB"),
        ("^[[:alpha:]_-]+$", "ab_-", "1"),
        ("^[[:^digit:]]$", "a", "1"),
        (r"^[^\W\d]$", "_", "1"),
        (r"^\pL$", "é", "1"),
        (r"^\p{Lu}+$", "ÀB", "a"),
        (r"^\P{Lu}$", "a", "B"),
        (r"^[\p{N}x]$", "x", "y"),
        ("^[]a]+$", "]a", "b"),
        ("^[a-]$", "-", "b"),
        (r"^\Qa.b\E+$", "a.bbb", "axb"),
        (r"^\x41\x{1F600}\101$", "A\U0001f600A", "AA"),
        ("^a{2,3}$", "aaa", "a"),
        ("^a{,3}$", "a{,3}", "aa"),
        ("^x{$", "x{", "x"),
        ("^(?P<y>[0-9]{4})(?<m>-)$", "2020-", "2020"),
        ("^(a|b|)$", "", "c"),
        ("(?U)^a+?$", "aa", "b"),
        (r"^[\d.]+$", "1.2", "a"),
        (r"^[a\-z]$", "-", "b"),
        ("(?-i)a", "a", "A"),
        (r"^\.\*$", ".*", "ab"),
        ("^[^a]$", "\n", "a"),
    ],
)
def test_matches(pattern: str, matching: str, other: str) -> None:
    compiled = compile_pattern(pattern)
    assert compiled.search(matching)
    assert not compiled.search(other)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("[a", "missing closing ]: `[a`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        (r"[a-\d]", "invalid character class range"),
        ("[[:nope:]]", "invalid character class range: `[:nope:]`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{3,2}", "invalid repeat count: `{3,2}`"),
        ("(a{100}){100}", "invalid repeat count"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?<!a)b", "invalid or unsupported Perl syntax: `(?<`"),
        ("(?P<n>a)(?P<n>b)", "duplicate capture group name"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"a\Z", r"invalid escape sequence: `\Z`"),
        (r"\x{110000}", "invalid escape sequence"),
        ("\\", "trailing backslash at end of expression"),
        ("[\\", "trailing backslash at end of expression"),
        ("(?)", "missing argument to repetition operator: `?`"),
        ("(" * 200, "expression nests too deeply"),
    ],
)
def test_what_go_refuses_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(PatternError) as refused:
        compile_pattern(pattern)
    assert str(refused.value).startswith("error parsing regexp: ")
    assert message in str(refused.value)


@given(st.text(max_size=12))
def test_an_escaped_text_matches_itself_only(text: str) -> None:
    quoted = "".join(c if c.isalnum() else f"\\x{{{ord(c):x}}}" for c in text)
    assert compile_pattern(f"^{quoted}$").search(text)
    assert not compile_pattern(f"^{quoted}$").search(f"{text}!")


@given(st.text(alphabet="ab(|)*+?[]^$\\.{}1,-:dpQE<>=!iP", max_size=14), st.text("ab1.-\n", max_size=6))
def test_any_text_is_a_pattern_or_refused(pattern: str, text: str) -> None:
    try:
        compiled = compile_pattern(pattern)
    except PatternError:
        return
    compiled.search(text)


@given(
    st.from_regex(r"\A(?:[abc]|\[[abc]{1,3}\]|\([abc]\|[abc]\)|[abc][*+?])(?:[abc.]|\([abc]+\))*\Z"),
    st.text("abc", max_size=6),
)
def test_plain_patterns_agree_with_python(pattern: str, text: str) -> None:
    assert bool(compile_pattern(pattern).search(text)) == bool(re.search(pattern, text))


def test_what_is_left_out_here_says_so() -> None:
    with pytest.raises(PatternError, match="Unicode scripts are not supported here"):
        compile_pattern(r"\p{Greek}+")
