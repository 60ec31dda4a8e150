"""The estimated cost of rules, against what Kubernetes publishes about its own estimator.

The numbers are those of ``TestCostEstimation`` in ``apiextensions-apiserver/pkg/apiserver/schema/cel/
compilation_test.go`` (v0.36): the cost of one evaluation without limits in the schema, and with one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter_devcluster.apiextensions import RULE_LIMIT, outside_core, used_functions
from adapter_devcluster.apiextensions.cel_check import compile_expression
from adapter_devcluster.apiextensions.cel_cost import estimate, excess, max_cardinality, multiplied
from adapter_devcluster.apiextensions.cel_decls import Decl, declare
from adapter_devcluster.apiextensions.cel_syntax import parse
from adapter_devcluster.apiextensions.tree import read_schema

pytestmark = pytest.mark.unit

Limited = Callable[[int | None], dict[str, Any]]
TYPES: dict[str, dict[str, Any]] = {
    "int-or-string": {"x-kubernetes-int-or-string": True},
    **{name: {"type": name} for name in ("string", "number", "integer", "boolean")},
    **{name: {"type": "string", "format": name} for name in ("date", "date-time", "duration")},
}
PAIR = {
    "type": "object",
    "required": ["required"],
    "properties": {"required": {"type": "string"}, "optional": {"type": "string"}},
}


def limited(schema: dict[str, Any], keyword: str, limit: int | None) -> dict[str, Any]:
    return schema if limit is None else {**schema, keyword: limit}


def array(items: Any) -> Limited:
    item = TYPES[items] if isinstance(items, str) else items
    return lambda limit: limited({"type": "array", "items": item}, "maxItems", limit)


def mapping(values: Any) -> Limited:
    value = TYPES[values] if isinstance(values, str) else values
    return lambda limit: limited({"type": "object", "additionalProperties": value}, "maxProperties", limit)


def text(limit: int | None) -> dict[str, Any]:
    return limited({"type": "string"}, "maxLength", limit)


def data(limit: int | None) -> dict[str, Any]:
    return limited({"type": "string", "format": "byte"}, "maxLength", limit)


def texts(limit: int | None) -> dict[str, Any]:
    return limited({"type": "array", "items": text(limit)}, "maxItems", limit)


def text_map(limit: int | None) -> dict[str, Any]:
    return limited({"type": "object", "additionalProperties": text(limit)}, "maxProperties", limit)


def pair_maps(limit: int | None) -> dict[str, Any]:
    inner = limited({"type": "object", "additionalProperties": PAIR}, "maxProperties", limit)
    return limited({"type": "array", "items": inner}, "maxItems", limit)


def fields(**lengths: int | None) -> Limited:
    def schema(limit: int | None) -> dict[str, Any]:
        return {"type": "object", "properties": {k: text(limit if v is None else v) for k, v in lengths.items()}}

    return schema


def one_of_words(limit: int | None) -> dict[str, Any]:
    return limited({"type": "string", "enum": ["A", "B", "C", "LongValue"]}, "maxLength", limit)


def decl_of(schema: dict[str, Any]) -> Decl:
    decl = declare(read_schema(schema), is_root=False)
    assert decl is not None
    return decl


def cost(schema: dict[str, Any], rule: str) -> int:
    decl = decl_of(schema)
    return estimate(compile_expression(rule, {"self": decl.type, "oldSelf": decl.type}, decl), decl)


ALL = "self.all(x, true)"
PUBLISHED: list[tuple[Limited, str, int, int, int]] = [
    (array("number"), ALL, 4718591, 10, 32),
    (array("string"), ALL, 3145727, 20, 62),
    (array("boolean"), ALL, 1887437, 5, 17),
    (array({"type": "array", "items": {"type": "number"}}), ALL, 3145727, 100, 302),
    (array(PAIR), ALL, 555128, 50, 152),
    (array("int-or-string"), ALL, 4718591, 10, 32),
    (array("duration"), ALL, 2359295, 5, 17),
    (array("date"), ALL, 725936, 15, 47),
    (array("date-time"), ALL, 428963, 25, 77),
    (mapping("number"), ALL, 1348169, 10, 32),
    (mapping("string"), ALL, 1179647, 3, 11),
    (mapping("boolean"), ALL, 943718, 100, 302),
    (mapping("int-or-string"), ALL, 1348169, 15, 47),
    (mapping(PAIR), ALL, 428963, 20, 62),
    (mapping({"type": "object", "additionalProperties": {"type": "number"}}), ALL, 1179647, 10, 32),
    (mapping({"type": "array", "items": {"type": "number"}}), ALL, 1179647, 25, 77),
    (mapping("duration"), ALL, 1048577, 5, 17),
    (mapping("date"), ALL, 524288, 10, 32),
    (mapping("date-time"), ALL, 349526, 25, 77),
    (array("number"), "self.all(x, x == 0.0)", 6291454, 3 * 1024 * 2048, 25165826),
    (text, "self.contains('test')", 314574, 10, 5),
    (text, "self.startsWith('test')", 2, 15, 2),
    (text, "self.endsWith('test')", 2, 30, 2),
    (text, 'size(self + "hello") > size("hello")', 314578, 4, 7),
    (text, 'self.matches("x")', 314574, 50, 22),
    (text, 'self.matches("")', 1, 100, 1),
    (text, '"".matches("(((((((((())))))))))[0-9]")', 7, 10, 7),
    (text, 'self == "x"', 2, 0, 1),
    (data, 'self == b"x"', 2, 0, 1),
    (text, "self.find('[0-9]+') == ''", 629147, 10, 11),
    (text, "self.lowerAscii() == 'lower!'", 314575, 10, 6),
    (texts, "self.join(' ') == 'aa bb'", 329853068905, 10, 43),
    (texts, "self.isSorted() == true", 329854432052, 10, 52),
    (text_map, "self.all(x, x.contains(self[x]))", 2752507, 10, 72),
    (pair_maps, 'self.all(x, x["y"].required == "z")', 7340027, 10, 72),
    (one_of_words, "self.contains('A')", 2, 1000, 401),
    (
        fields(str=None, before=2, after=4),
        "self.str.replace(self.before, self.after) == 'does not matter'",
        629154,
        4,
        12,
    ),
    (fields(str=None, separator=None), "self.str.split(self.separator) == []", 629160, 10, 22),
    (array("number"), "self[1] == 0.0", 2, 5000, 2),
    (array("string"), "self[1] == self[1]", 314577, 8, 314577),
    (array("int-or-string"), "self[0] == 5", 3, 10, 3),
    (array("boolean"), "self[0] == false", 2, 25, 2),
    (array(PAIR), "self[0] == null", 2, 422, 2),
    (array({"type": "array", "items": {"type": "number"}}), "self[0][0] == -1.0", 3, 51, 3),
    (
        array({"type": "object", "additionalProperties": {"type": "number"}}),
        "self.all(x, x.y == 25.2)",
        6291452,
        12,
        74,
    ),
    (array({"type": "object", "additionalProperties": {"type": "number"}}), "self[0].x > 2.0", 4, 3000, 4),
    (array("duration"), "self[0].getHours() == 2", 4, 525, 4),
    (array("date"), "self[2].getDayOfMonth() == 13", 4, 42, 4),
    (array("date-time"), "self[2].getMinutes() == 45", 4, 99, 4),
    (mapping("number"), 'self["x"] == 0.0', 2, 0, 2),
    (mapping("integer"), "oldSelf.size() == self.size()", 5, 10, 5),
    (mapping("date-time"), 'self["a"] == self["b"]', 8, 7, 8),
    (mapping("duration"), 'self["c"] == self["d"]', 8, 42, 8),
]


@pytest.mark.parametrize(("schema", "rule", "unlimited", "limit", "with_limit"), PUBLISHED)
def test_published_estimates(schema: Limited, rule: str, unlimited: int, limit: int, with_limit: int) -> None:
    assert cost(schema(None), rule) == unlimited
    assert cost(schema(limit), rule) == with_limit


def test_nested_loops_over_unbounded_lists_are_over_the_limit() -> None:
    rule = "self.all(x, self.all(y, true))"
    assert cost(array("number")(None), rule) > RULE_LIMIT
    assert cost(array("number")(10), rule) == 352
    assert cost(array("number")(10), "self.all(x, self.all(y, self.all(z, true)))") == 3552


def test_simple_rules_are_cheap() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 63}, "n": {"type": "integer"}}}
    assert cost(schema, "has(self.a)") == 1
    assert cost(schema, "has(self.a) == has(oldSelf.a)") <= 4
    assert cost(schema, "self.n == oldSelf.n") <= 6
    assert cost(schema, "self.a == oldSelf.a") <= 30
    assert cost(schema, "!has(self.a) || self.a == 'x'") <= 6


ITEMS = {
    "type": "array",
    "maxItems": 10,
    "items": {"type": "object", "properties": {"s": {"type": "string", "maxLength": 5}, "n": {"type": "integer"}}},
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Written out by hand from the macros' expansions and the prices of their parts.
        ("self.exists(x, true)", 1 + 1 + 10 * 4),
        ("self.exists_one(x, true)", 1 + 2 + 10 * 2),
        ("self.filter(x, true).size() == 0", 1 + 11 + 10 * 13 + 1 + 1),
        ("self.map(x, x.n).size() == 0", 1 + 11 + 10 * 14 + 1 + 1),
        ("self.map(x, true, x.n).size() == 0", 1 + 11 + 10 * 14 + 1 + 1),
        ("self.map(x, x.s).exists(s, s == 'ab')", (1 + 11 + 10 * 14) + 1 + 10 * (4 + 1 + 1)),
        ("self.all(x, x.s in ['a', 'b'])", 1 + 1 + 10 * (3 + 2 + 10 + 2)),
        ("{'a': 1}.a == 1", 30 + 1 + 1),
        ("self.size() > 1 ? self[0].n == 1 : self[0].s == 'a'", 3 + max(3 + 0, 3 + 1)),
        ("dyn(self) == [] ", 1 + 1 + 10 + 0),
        ("(self + self).all(x, true)", 3 + 1 + 20 * 3),
        ("self[?0].hasValue()", 1 + 1 + 1),
        ("self[0].?s.orValue('') == ''", 2 + 1 + 1 + 0),
        ("self.map(x, x.s + x.s).all(s, s.size() > 1)", 1 + 11 + 10 * (12 + 4 + 4) + 1 + 10 * (3 + 2 + 1)),
        ("size(bytes(self[0].s)) == size(string(b'ab'))", (3 + 2 + 1) + (1 + 1) + 1),
        # The server has no size for the items of a list that an expression made, so it takes the largest.
        ("self.map(x, x.s).indexOf('a') == 1", 2**64 - 1),
    ],
)
def test_estimates_by_hand(rule: str, expected: int) -> None:
    assert cost(ITEMS, rule) == expected


def test_costs_do_not_overflow() -> None:
    rule = "self.all(a, self.all(b, self.all(c, self.all(d, true))))"
    assert cost(array("number")(None), rule) == 2**64 - 1
    assert multiplied(2**63, 4) == 2**64 - 1
    assert multiplied(0, 5) == 0


def test_how_often_an_unbounded_value_fits_into_a_request() -> None:
    assert max_cardinality(decl_of({"type": "string"})) == 3 * 1024 * 1024 // 3
    assert max_cardinality(decl_of(PAIR)) == 3 * 1024 * 1024 // (2 + len("required") + 2 + 4 + 1)


def test_the_excess_is_told_in_the_servers_words() -> None:
    assert "exceeds budget by factor of 1.200000x (try" in excess("x", 12, 10)
    assert "exceeds budget by factor of 2.5x (try" in excess("x", 25, 10)
    assert "exceeds budget by factor of more than 100x (try" in excess("x", 1001, 10)


def test_which_functions_a_rule_uses() -> None:
    expr = parse("has(self.a) && self.l.all(x, x.size() > 1) || self.?b.orValue('') == '' && optional.of(1).hasValue()")
    assert used_functions(expr) == {
        "has",
        "_&&_",
        "all",
        "size",
        "_>_",
        "_||_",
        "_?._",
        "orValue",
        "_==_",
        "optional.of",
        "hasValue",
    }
    assert outside_core(expr) == {"_?._", "orValue", "optional.of", "hasValue"}
    assert outside_core(parse("self.a.split(',')[0].matches('x') && quantity('1') == isURL(self.b)")) == {
        "split",
        "quantity",
        "isURL",
    }
    assert (
        outside_core(parse("self.l.exists_one(x, int(x) in [1, 2]) ? size(self.m) % 2 == 0 : !self.b")) == frozenset()
    )
