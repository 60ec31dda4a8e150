from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.apiextensions.cel_lexer import CelSyntaxError, Uint
from adapter_devcluster.apiextensions.cel_syntax import (
    Call,
    Expr,
    Ident,
    ListLiteral,
    LiteralValue,
    Macro,
    MapLiteral,
    Select,
    display_error,
    parse,
)

pytestmark = pytest.mark.unit


def shape(expr: Expr) -> str:
    """The tree in one line, every operator as a call."""
    text = "?"
    match expr:
        case LiteralValue():
            text = repr(expr.value)
        case Ident():
            text = expr.name
        case Select():
            path = f"{shape(expr.operand)}{'.?' if expr.optional else '.'}{expr.field}"
            text = f"has({path})" if expr.test_only else path
        case Call():
            target = "" if expr.target is None else f"{shape(expr.target)}."
            text = f"{target}{expr.function}({', '.join(map(shape, expr.args))})"
        case ListLiteral():
            text = f"[{', '.join(map(shape, expr.items))}]"
        case MapLiteral():
            text = f"{{{', '.join(f'{shape(k)}: {shape(v)}' for k, v in expr.entries)}}}"
        case Macro():
            text = f"{shape(expr.operand)}.{expr.name}!({expr.variable}, {', '.join(map(shape, expr.args))})"
    return text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a + b * c", "_+_(a, _*_(b, c))"),
        ("a - b - c", "_-_(_-_(a, b), c)"),
        ("a == b && c || d", "_||_(_&&_(_==_(a, b), c), d)"),
        ("a || b || c || d", "_||_(_||_(a, b), _||_(c, d))"),
        ("a ? b : c ? d : e", "_?_:_(a, b, _?_:_(c, d, e))"),
        ("a < b == c", "_==_(_<_(a, b), c)"),
        ("!a.b", "!_(a.b)"),
        ("!!a", "a"),
        ("-a", "-_(a)"),
        ("-1 - -2", "_-_(-1, -2)"),
        ("-(1)", "-_(1)"),
        ("a in [1, 2,]", "@in(a, [1, 2])"),
        ("{'k': 1, 'l': 2,}", "{'k': 1, 'l': 2}"),
        ("a[0].b['x']", "_[_](_[_](a, 0).b, 'x')"),
        ("a.?b[?0]", "_[?_](a.?b, 0)"),
        ("has(a.b.c)", "has(a.b.c)"),
        ("a.all(x, x > 0)", "a.all!(x, _>_(x, 0))"),
        ("a.map(x, x > 0, x * 2)", "a.map!(x, _>_(x, 0), _*_(x, 2))"),
        ("a.existsOne(x, x)", "a.exists_one!(x, x)"),
        ("a.all(x)", "a.all(x)"),
        ("size(a) + a.size()", "_+_(size(a), a.size())"),
        (".a.b", "a.b"),
        ("a // comment\n + b", "_+_(a, b)"),
        ("1u + 0x1Fu", "_+_(1, 31)"),
        ("1.5e3 + .5 + 2e-1", "_+_(_+_(1500.0, 0.5), 0.2)"),
        (r"'a\n\x41\u00e9\U0001F600\101\''", repr("a\nAé\U0001f600A'")),
        (r"r'\d' + R\"\n\"".replace('\\"', '"'), r"_+_('\\d', '\\n')"),
        ("'''a\n'b'''", repr("a\n'b")),
        (r"b'\xffa\n' + rb'\x'", r"_+_(b'\xffa\n', b'\\x')"),
        ("true && false || null == a", "_||_(_&&_(True, False), _==_(None, a))"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("a.namespace", "a.namespace"),
    ],
)
def test_trees(source: str, expected: str) -> None:
    assert shape(parse(source)) == expected


def test_unsigned_literals_are_kept_apart() -> None:
    literal = parse("1u")
    assert isinstance(literal, LiteralValue)
    assert isinstance(literal.value, Uint)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "mismatched input '<EOF>' expecting an expression"),
        ("1 +", "mismatched input '<EOF>' expecting an expression"),
        ("a b", "mismatched input 'b' expecting <EOF>"),
        ("(a", "mismatched input '<EOF>' expecting ')'"),
        ("a.1", "mismatched input '.1' expecting <EOF>"),
        ("a.", "mismatched input '<EOF>' expecting IDENTIFIER"),
        ("f(,)", "mismatched input ','"),
        ("f(a,)", "mismatched input ')'"),
        ("a ? b", "mismatched input '<EOF>' expecting ':'"),
        ("a ? b ? c : d : e", "mismatched input '?' expecting ':'"),
        ("!-1", "mismatched input '-'"),
        ("{'a'}", "mismatched input '}' expecting ':'"),
        ("a{b: 1}", "message literals are not supported here"),
        ("namespace", "reserved identifier: namespace"),
        ("has(a)", "invalid argument to has() macro"),
        ("has(a.?b)", "invalid argument to has() macro"),
        ("a.all(1, true)", "argument must be a simple name"),
        ("'abc", "token recognition error at: ''abc'"),
        ("'a\nb'", "token recognition error"),
        ("a ~ b", "token recognition error at: '~'"),
        (r"'\q'", "unable to unescape string"),
        (r"b'\u00e9'", "unable to unescape string"),
        (r"b'\q'", "unable to unescape string"),
        (r"'\ud800'", "invalid unicode code point"),
        ("9223372036854775808", "invalid int literal"),
        ("99999999999999999999", "invalid int literal"),
        ("18446744073709551616u", "invalid uint literal"),
        ("(" * 100 + "a" + ")" * 100, "expression recursion limit exceeded"),
        ("a" + " + a" * 500, "expression recursion limit exceeded"),
        ("a" * 100_001, "expression code point size exceeds limit"),
    ],
)
def test_what_is_no_expression(source: str, message: str) -> None:
    with pytest.raises(CelSyntaxError) as refused:
        parse(source)
    assert message in refused.value.message


def test_long_chains_stay_flat() -> None:
    assert shape(parse(" && ".join(["a"] * 4000))).count("a") == 4000


def test_errors_are_shown_with_their_place() -> None:
    assert display_error("é\n\tab", 4, "no") == "ERROR: <input>:2:3: no\n |  ab\n | ..^"
    assert display_error("éa", 1, "no") == "ERROR: <input>:1:2: no\n | éa\n | \uff0e^"


@given(st.text(alphabet="ab01.+-*/%<>=!&|?:()[]{},'\"\\ \nruU_$in", max_size=25))
def test_any_text_is_an_expression_or_refused(source: str) -> None:
    try:
        parse(source)
    except CelSyntaxError as error:
        shown = display_error(source, error.at, error.message)
    else:
        return
    assert shown.startswith("ERROR: <input>:")
