"""CEL over a custom resource: types, values, errors; and agreement with another implementation."""

from __future__ import annotations

from typing import Any

import cel as other_cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions.cel_check import CelCompileError, compile_expression
from adapter_devcluster.apiextensions.cel_decls import Decl, declare, escape, unescape, with_type_meta
from adapter_devcluster.apiextensions.cel_eval import Program
from adapter_devcluster.apiextensions.cel_values import CelError, MapValue, OptionalValue, from_json, raw
from adapter_devcluster.apiextensions.tree import read_schema

pytestmark = pytest.mark.unit

TEXT, INT = {"type": "string"}, {"type": "integer"}
ITEM = {"type": "object", "properties": {"name": TEXT, "n": INT}}
SCHEMA = {
    "type": "object",
    "properties": {
        "i": INT,
        "absent": TEXT,
        "s": TEXT,
        "d": {"type": "number"},
        "b": {"type": "boolean"},
        "maybe": {**TEXT, "nullable": True},
        "list": {"type": "array", "items": INT},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
        "items": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": ITEM,
        },
        "keyed": {
            "type": "array",
            "items": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": ITEM,
            },
        },
        "map": {"type": "object", "additionalProperties": TEXT},
        "port": {"x-kubernetes-int-or-string": True},
        "count": {"x-kubernetes-int-or-string": True},
        "namespace": TEXT,
        "a-b.c/d": TEXT,
        "when": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "took": {"type": "string", "format": "duration"},
        "bytes": {"type": "string", "format": "byte"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "any": {"x-kubernetes-preserve-unknown-fields": True},
        "object": {"type": "object", "properties": {"x": INT}},
        "pod": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
}
OBJECT = {
    "apiVersion": "x.dev/v1",
    "kind": "X",
    "metadata": {"name": "me", "labels": {"a": "b"}},
    "i": 7,
    "s": "é€x",
    "d": 1,
    "b": True,
    "maybe": None,
    "list": [3, 1, 2],
    "set": ["b", "a"],
    "items": [{"name": "x", "n": 1}, {"name": "y"}],
    "keyed": [[{"name": "x", "n": 1}, {"name": "y"}], [{"name": "y"}, {"name": "x", "n": 1}], [{"name": "y", "n": 5}]],
    "map": {"k": "v"},
    "port": "http",
    "count": 3,
    "namespace": "ns",
    "a-b.c/d": "escaped",
    "when": "2020-03-01T04:05:06.5+01:00",
    "day": "2020-03-01",
    "took": "90s",
    "bytes": "YWJj",
    "free": {"x": 1},
    "any": [1],
    "object": {"x": 1},
    "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {}}, "spec": 1},
}
NODE = with_type_meta(read_schema(SCHEMA))


def declared() -> Decl:
    decl = declare(NODE, is_root=True)
    assert decl is not None
    return decl


DECL = declared()


def evaluate(source: str) -> Any:
    checked = compile_expression(source, {"self": DECL.type}, DECL)
    return raw(Program(checked, ("self",)).run({"self": from_json(OBJECT, NODE)}))


TRUE = [
    "self.i == 7 && self.i != 8 && self.i < 8 && self.i >= 7",
    "self.i + 1 == 8 && self.i - 8 == -1 && self.i * 2 == 14 && self.i / 2 == 3 && self.i % 4 == 3",
    "-self.i == -7 && -7 / 2 == -3 && -7 % 4 == -3 && !(1 > 2)",
    "size(self.s) == 3 && self.s.size() == 3",
    "self.s.startsWith('é') && self.s.endsWith('x') && self.s.contains('€') && self.s.matches('^é.x$')",
    "self.s + '!' == 'é€x!' && self.s < 'ê'",
    "self.d == 1.0 && self.d < 2 && 2 > self.d && self.d + 0.5 == 1.5 && type(self.d) == double",
    "1.0 / 0.0 > 5.0 && -1.0 / 0.0 < 5.0 && 7.5 / 2.5 == 3.0 && -self.d == -1.0",
    "self.b && !false && (self.b ? 1 : 2) == 1",
    "!has(self.absent) && !has(self.maybe) && has(self.i)",
    "self.list[0] == 3 && 2 in self.list && !(9 in self.list) && self.list + [9] == [3, 1, 2, 9]",
    "self.list.all(x, x > 0) && self.list.exists(x, x == 2) && self.list.exists_one(x, x == 2)",
    "self.list.map(x, x * 2) == [6, 2, 4] && self.list.filter(x, x > 1) == [3, 2]",
    "self.list.map(x, x > 1, x * 2) == [6, 4] && [[1], [2]].all(l, l.all(x, x > 0))",
    "self.list.sum() == 6 && self.list.min() == 1 && self.list.max() == 3 && !self.list.isSorted()",
    "self.list.indexOf(1) == 1 && self.list.lastIndexOf(9) == -1 && [1.5].sum() == 1.5",
    "self.set == ['a', 'b'] && self.set + ['a', 'c'] == ['b', 'a', 'c']",
    "self.keyed[0] == self.keyed[1] && self.keyed[0] + self.keyed[1] == self.keyed[1]",
    "self.keyed[0] != self.keyed[2]",
    "self.keyed[0] == [self.keyed[0][1], self.keyed[0][0]] && (self.keyed[0] + self.keyed[2])[1].n == 5",
    "self.items.filter(x, has(x.n)).map(x, x.name) == ['x'] && self.items.exists(x, x.n == 1)",
    "self.map.k == 'v' && self.map['k'] == 'v' && 'k' in self.map && has(self.map.k) && !has(self.map.z)",
    "self.map.all(k, k == 'k') && size(self.map) == 1 && self.map == {'k': 'v'} && {'k': 'v'} == self.map",
    "{'a': 1}.a == 1 && {1: 'x'}[1] == 'x' && {} == {} && {'a': [1]} == {'a': [1]} && !({'a': 1} == {'b': 1})",
    "type(self.port) == string && self.port == 'http' && self.port != 5 && type(self.count) == int",
    "self.count == 3 && self.count < 5 && (type(self.port) == int || self.port.startsWith('h'))",
    "self.__namespace__ == 'ns' && self.namespace == 'ns' && has(self.namespace)",
    "self.a__dash__b__dot__c__slash__d == 'escaped'",
    "self.when < timestamp('2021-01-01T00:00:00Z') && self.when.getHours() == 3 && self.when.getMonth() == 2",
    "self.when.getHours('+01:00') == 4 && self.when.getDayOfYear() == 60 && self.when.getMilliseconds() == 500",
    "self.when.getFullYear() == 2020 && self.when.getDate() == 1 && self.when.getDayOfMonth() == 0",
    "self.when.getDayOfWeek() == 0 && self.when.getMinutes() == 5 && self.when.getSeconds() == 6",
    "string(self.when) == '2020-03-01T04:05:06.5+01:00' && int(self.day) == 1583020800",
    "self.took == duration('1m30s') && self.took.getSeconds() == 90 && string(self.took) == '90s'",
    "self.took + self.took == duration('3m') && self.day + duration('24h') > self.day",
    "duration('-90s').getMinutes() == -1",
    "self.day - self.day == duration('0s') && self.day - duration('1s') < self.day",
    "duration('1s') - duration('2s') < duration('0')",
    "self.bytes == b'abc' && size(self.bytes) == 3 && string(self.bytes) == 'abc'",
    "b'a' + b'b' == bytes('ab') && b'a' < b'b'",
    "self.metadata.name == 'me' && self.kind == 'X' && self.apiVersion == 'x.dev/v1'",
    "self.pod.metadata.name == 'p' && self.pod.kind == 'Pod' && self.pod == self.pod",
    "has(self.free) && self.free == self.free && self.object == self.object",
    "string(1) == '1' && string(true) == 'true' && string(1.5) == '1.5'",
    "string(1e20) == '1e+20' && string(3u) == '3'",
    "int('-12') == -12 && int(1.9) == 1 && int(5u) == 5 && uint(5) == 5u && uint('6') == 6u && uint(2.5) == 2u",
    "double('1e3') == 1000.0 && double(2) == 2.0 && bool('T') && !bool('false') && double('-Inf') < 0.0",
    "timestamp(0) == timestamp('1970-01-01T00:00:00Z') && duration('1s') > duration('999ms')",
    "int(duration('1us')) == 1000",
    "1u + 2u == 3u && 5u - 2u == 3u && 2u * 3u == 6u && 7u / 2u == 3u && 7u % 2u == 1u && 1u < 2",
    "2 > 1u && 1.5 < 2u",
    "'abc'.charAt(1) == 'b' && 'abc'.charAt(3) == '' && 'abcb'.indexOf('b') == 1 && 'abcb'.indexOf('b', 2) == 3",
    "'abcb'.lastIndexOf('b') == 3 && 'abcb'.lastIndexOf('b', 2) == 1",
    "'a'.lastIndexOf('zz') == -1 && 'ab'.lastIndexOf('') == 2",
    "'aBc'.upperAscii() == 'ABC' && 'AbÉ'.lowerAscii() == 'abÉ' && ' x\t'.trim() == 'x'",
    "'abc'.substring(1) == 'bc'",
    "'abc'.substring(0, 2) == 'ab' && 'aaa'.replace('a', 'b') == 'bbb' && 'aaa'.replace('a', 'b', 2) == 'bba'",
    "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'ab'.split('') == ['a', 'b']",
    "'abc'.split('', 2) == ['a', 'bc'] && 'a,b'.split(',', 0).size() == 0",
    "['a', 'b'].join('-') == 'a-b' && ['a'].join() == 'a'",
    "'a1b22'.find('[0-9]+') == '1' && 'x'.find('[0-9]') == '' && 'a1b22'.findAll('[0-9]+') == ['1', '22']",
    "'a1b2'.findAll('[0-9]', 1) == ['1'] && matches('abc', 'b')",
    "self.?absent.orValue('d') == 'd' && self.?s.hasValue() && self.?object.?x == optional.of(7 - 6)",
    "self.list[?9] == optional.none() && self.list[?0].value() == 3 && self.map[?'k'].orValue('') == 'v'",
    "self.?absent.or(optional.of('e')).value() == 'e'",
    "optional.none().orValue(1) == 1 && optional.ofNonZeroValue('') == optional.none()",
    "optional.of([1])[0] == optional.of(1)",
    "type(1) == int && type('') == string && type([]) == list && type({}) == map",
    "type(type(1)) == type && type(null) == null_type",
    "dyn(1) == 1.0 && dyn('a') != 1 && null == null && dyn([1]) == [1] && dyn(true) == true",
    # An operand that fails does not matter where the other one decides.
    "true || self.absent == '' && self.i == 7",
    "!(self.absent == '' && false) && (self.absent == '' || true)",
    "self.items.exists(x, x.n == 1) && !self.items.all(x, x.n == 2)",
]


@pytest.mark.parametrize("source", TRUE)
def test_true_expressions(source: str) -> None:
    assert evaluate(source) is True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("self.absent == ''", "no such key: absent"),
        ("has(self.absent) ? true : self.absent.size() == 1", "no such key: absent"),
        ("self.map['z'] == ''", "no such key: z"),
        ("self.map.z == ''", "no such key: z"),
        ("{'a': 1}.b == 1", "no such key: b"),
        ("self.list[3] == 1", "index out of bounds: 3"),
        ("self.list[-1] == 1", "index out of bounds: -1"),
        ("1 / 0 == 1", "division by zero"),
        ("1u / 0u == 1u", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("9223372036854775807 + 1 > 0", "integer overflow"),
        ("-(-9223372036854775808) > 0", "integer overflow"),
        ("9223372036854775807 * 2 > 0", "integer overflow"),
        ("1u - 2u == 0u", "unsigned integer overflow"),
        ("uint(-1) == 0u", "unsigned integer overflow"),
        ("uint(1e30) == 0u", "unsigned integer overflow"),
        ("int(1e30) == 0", "integer overflow"),
        ("duration('2562047h') + duration('2562047h') > duration('0')", "duration overflow"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1h') > self.when", "timestamp overflow"),
        ("int(self.s) == 0", "type conversion error from 'string' to 'int'"),
        ("double(self.s) == 0.0", "type conversion error from 'string' to 'double'"),
        ("uint(self.s) == 0u", "type conversion error from 'string' to 'uint'"),
        ("bool(self.s)", "type conversion error from 'string' to 'bool'"),
        ("timestamp(self.s) == self.when", "type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        ("string(b'\\xff') == ''", "invalid UTF-8 in bytes, cannot convert to string"),
        ("'x'.matches(self.s + '(')", "error parsing regexp: missing closing )"),
        ("'x'.find(self.s + '(') == ''", "Illegal regex: error parsing regexp"),
        ("'abc'.charAt(4) == ''", "index out of range: 4"),
        ("'abc'.substring(2, 1) == ''", "invalid substring range. start: 2, end: 1"),
        ("'abc'.indexOf('b', -1) == 0", "index out of range: -1"),
        ("'abc'.lastIndexOf('b', -1) == 0", "index out of range: -1"),
        ("[1].filter(x, x > 1).min() == 0", "min called on empty list"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("self.when.getHours('Nowhere/Town') == 1", "unknown time zone Nowhere/Town"),
        ("self.count < 'a'", "no such overload"),
        ("self.port + 1 == 2", "no such overload"),
        ("self.count.size() == 1", "no such overload"),
        ("self.count ? true : false", "no such overload"),
        ("[self.count].all(x, x)", "no such overload"),
        ("self.list == self.count", "no such overload"),
        ("double('nan') < 1.0", "NaN values cannot be ordered"),
        ("self.items.exists_one(x, x.n == 1)", "no such key: n"),
        ("self.items.map(x, x.n) == [1]", "no such key: n"),
        ("self.absent == '' || self.list[9] == 1", "no such key: absent"),
    ],
)
def test_expressions_that_fail(source: str, message: str) -> None:
    with pytest.raises(CelError) as failed:
        evaluate(source)
    assert message in str(failed.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("self.nope", "ERROR: <input>:1:5: undefined field 'nope'\n | self.nope\n | ....^"),
        ("nope", "undeclared reference to 'nope' (in container '')"),
        ("nope(1)", "undeclared reference to 'nope' (in container '')"),
        ("self.i.nope()", "undeclared reference to 'nope' (in container '')"),
        ("oldSelf.i", "undeclared reference to 'oldSelf' (in container '')"),
        ("self.i == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
        ("self.i + 1.0", "found no matching overload for '_+_' applied to '(int, double)'"),
        ("self.d == 1", "found no matching overload for '_==_' applied to '(double, int)'"),
        ("self.s.size(1)", "found no matching overload for 'size' applied to 'string.(int)'"),
        ("self.i && true", "expected type 'bool' but found 'int'"),
        ("self.list.all(x, x)", "expected type 'bool' but found 'int'"),
        (
            "self.i.all(x, true)",
            "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("[1, 'a']", "expected type 'int' but found 'string'"),
        ("self.i.x", "type 'int' does not support field selection"),
        ("self.maybe == null", "found no matching overload for '_==_' applied to '(string, null)'"),
        ("self.items == self.keyed[0]", "applied to '(list(self.items.@idx), list(self.keyed.@idx.@idx))'"),
        ("self.metadata.labels", "undefined field 'labels'"),
        ("self.free.x", "undefined field 'x'"),
        ("self.any", "undefined field 'any'"),
        ("self.object['x']", "found no matching overload for '_[_]'"),
        ("duration('1d')", "invalid duration argument"),
        ("timestamp('x')", "invalid timestamp argument"),
        ("'a'.matches('(')", "invalid matches argument"),
        ("ip.isCanonical('')", "'ip.isCanonical' belongs to a Kubernetes library that is not provided here"),
        ("a +", "Syntax error"),
    ],
)
def test_expressions_that_do_not_compile(source: str, message: str) -> None:
    with pytest.raises(CelCompileError) as refused:
        evaluate(source)
    assert message in str(refused.value)


def test_all_errors_are_reported_in_order() -> None:
    with pytest.raises(CelCompileError) as refused:
        evaluate("self.x == self.y")
    assert [line.split(": ")[1] for line in str(refused.value).splitlines() if line.startswith("ERROR")] == [
        "<input>:1:5",
        "<input>:1:15",
    ]


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "string"}, 1, "invalid data, expected string, got integer"),
        ({"type": "string"}, None, "invalid data, got null for schema with nullable=false"),
        ({"type": "integer"}, 1.0, "invalid data, expected int, got number"),
        ({"type": "number"}, "1", "invalid data, expected float, got string"),
        ({"type": "boolean"}, 1, "invalid data, expected bool, got integer"),
        ({"type": "object"}, [], "invalid data, expected a map"),
        ({"type": "array", "items": {"type": "string"}}, {}, "invalid data, expected an array"),
        ({"x-kubernetes-int-or-string": True}, True, "expected XIntOrString value to be either a string or integer"),
        ({"type": "string", "format": "date"}, "x", "Invalid date formatted string x"),
        ({"type": "string", "format": "date-time"}, "x", "Invalid date-time formatted string x"),
        ({"type": "string", "format": "duration"}, "x", "Invalid duration formatted string x"),
        ({"type": "string", "format": "byte"}, "?", "Invalid byte formatted string ?"),
        ({}, 1, "invalid type, expected a typed schema"),
    ],
)
def test_values_of_other_types(schema: dict[str, Any], value: Any, message: str) -> None:
    with pytest.raises(CelError) as failed:
        from_json(value, read_schema(schema))
    assert message in str(failed.value)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("plain_1", "plain_1"),
        ("namespace", "__namespace__"),
        ("in", "__in__"),
        ("a.b-c/d", "a__dot__b__dash__c__slash__d"),
        ("a__b", "a__underscores__b"),
        ("-a", "__dash__a"),
    ],
)
def test_escaped_names(name: str, escaped: str) -> None:
    assert escape(name) == escaped
    assert unescape(escaped) == name


@pytest.mark.parametrize("name", ["", "1a", "a b", "é", "a$"])
def test_names_that_rules_cannot_use(name: str) -> None:
    assert escape(name) is None


@given(st.from_regex(r"\A[a-z_./-][a-z0-9_./-]{0,8}\Z"))
def test_escaping_is_reversible(name: str) -> None:
    escaped = escape(name)
    assert escaped is not None
    assert unescape(escaped) == name


def test_unescaping_knows_its_own_words_only() -> None:
    assert unescape("a__nope__b") is None
    assert unescape("x__namespace__") is None
    assert unescape("plain") == "plain"


def test_optional_and_map_values_stay_what_they_are() -> None:
    assert evaluate("optional.of(1)") == OptionalValue(present=True, value=1)
    assert isinstance(evaluate("{'a': 1}"), MapValue)
    assert evaluate("type(self.items)") == t.Type("list")


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
INTS = st.recursive(
    st.sampled_from(["a", "b", "size(l)", "l[0]", "size(s)"]) | NUMBERS.map(lambda n: f"({n})"),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner).map(lambda p: f"({' '.join(p)})"),
    max_leaves=4,
)
BOOLS = st.recursive(
    st.tuples(INTS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), INTS).map(" ".join)
    | st.sampled_from(["true", "false", "a in l", "s.startsWith('x')", "s == 'xyz'", "s < t", "s + t == 'xyzab'"])
    | INTS.map(lambda n: f"l.all(i, i < {n})")
    | INTS.map(lambda n: f"l.exists(i, i == {n})")
    | INTS.map(lambda n: f"l.exists_one(i, i > {n})")
    | INTS.map(lambda n: f"l.map(i, i / {n}) == l")
    | INTS.map(lambda n: f"l.filter(i, i > {n}).size() > 1"),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda p: f"({' '.join(p)})")
        | inner.map(lambda e: f"!({e})")
        | st.tuples(inner, inner, inner).map(lambda p: f"(({p[0]}) ? ({p[1]}) : ({p[2]}))")
    ),
    max_leaves=5,
)


@given(BOOLS, st.lists(st.integers(-3, 3), min_size=1, max_size=4), NUMBERS, NUMBERS)
def test_another_implementation_agrees(source: str, items: list[int], a: int, b: int) -> None:
    schema = {"type": "object", "properties": {"l": SCHEMA["properties"]["list"]}}
    decl = declare(read_schema(schema), is_root=False)
    assert decl is not None
    types = {"a": t.INT, "b": t.INT, "l": t.list_of(t.INT), "s": t.STRING, "t": t.STRING}
    variables = {"a": a, "b": b, "s": "xyz", "t": "ab"}
    program = Program(compile_expression(source, types, decl), tuple(types))
    listed = from_json(items, read_schema(SCHEMA["properties"]["list"]))
    try:
        mine: Any = program.run({**variables, "l": listed})
    except CelError:
        mine = "error"
    try:
        others = other_cel.evaluate(source, {**variables, "l": items})
    except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError):
        others = "error"
    assert mine == others


def test_programs_share_nothing() -> None:
    """Two runs of one program at once, one inside of the other's macro, do not meet."""
    source = "l.all(x, x > 0) && l.map(x, x + 1).all(x, x > 1)"
    decl = declare(read_schema({"type": "array", "items": INT}), is_root=False)
    assert decl is not None
    program = Program(compile_expression(source, {"l": decl.type}, decl), ("l",))
    node = read_schema({"type": "array", "items": INT})

    class Nested(list[int]):
        def __iter__(self) -> Any:
            assert program.run({"l": from_json([5, 6], node)}) is True
            return super().__iter__()

    assert program.run({"l": from_json(Nested([1, 2]), node)}) is True
