"""Expressions over values without a schema, with more functions and variables than rules of a schema have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions.cel_check import CelCompileError, compile_expression
from adapter_devcluster.apiextensions.cel_decls import Decl
from adapter_devcluster.apiextensions.cel_dynamic import dynamic
from adapter_devcluster.apiextensions.cel_eval import Program
from adapter_devcluster.apiextensions.cel_functions import FUNCTIONS, Overload
from adapter_devcluster.apiextensions.cel_library import IMPLEMENTATIONS
from adapter_devcluster.apiextensions.cel_values import CelError, ListValue, MapValue

pytestmark = pytest.mark.unit

ROOT = Decl(t.Type("object", name="root"), 2)
OBJECT = {
    "name": "a",
    "n": 3,
    "f": 1.5,
    "yes": True,
    "nothing": None,
    "text": "7",
    "labels": {"app.kubernetes.io/name": "x", "namespace": "y"},
    "list": [1, "two", None, {"k": [1]}],
    "people": [{"name": "ann", "age": 40}, {"name": "bob"}],
}


def run(source: str) -> object:
    checked = compile_expression(source, {"o": t.DYN, "none": t.DYN}, ROOT)
    return Program(checked, ("o", "none")).run({"o": dynamic(OBJECT), "none": None})


@pytest.mark.parametrize(
    "source",
    [
        "o.name == 'a' && o['name'] == 'a'",
        "o.n <= 3 && o.n + 1 == 4 && o.f * 2.0 == 3.0",
        "o.n < 3.5 && o.n == 3.0",
        "int(o.text) == 7",
        "o.yes",
        "o.nothing == null && none == null && o != null",
        "has(o.nothing) && !has(o.absent) && has(o.labels.namespace)",
        "!has(o.n.deeper) && !has(none.x)",
        "o.labels['app.kubernetes.io/name'] == 'x' && o.labels.namespace == 'y'",
        "'namespace' in o.labels && !('x' in o.labels) && 'two' in o.list && !(5 in o.list)",
        "o.labels.all(k, o.labels[k].size() == 1) && o.labels.exists(k, k == 'namespace')",
        "o.people.map(p, p.name) == ['ann', 'bob']",
        "o.people.filter(p, has(p.age)).size() == 1 && o.people.exists_one(p, p.name == 'bob')",
        "o.list[3].k[0] == 1 && o.list.size() == 4 && size(o.people) == 2",
        "o.?labels.?absent.orValue('z') == 'z' && o.labels[?'namespace'].value() == 'y'",
        "o.absent.x == 1 || o.name == 'a'",
        "o.list != 3 && o.labels != 'x' && o.n != o.labels && [1] != dyn('x') && {'a': 1} != dyn(2)",
        "o.list == [1, dyn('two'), null, {'k': [1]}] && o.labels == {'app.kubernetes.io/name': 'x', 'namespace': 'y'}",
        "[1, 2] + o.list == [1, 2, dyn(1), 'two', null, {'k': [1]}]",
        "(o.n > 2 ? o.name : 'b') == 'a'",
        "type(o.labels) == map && type(o.list) == list && type(o.n) == int && type(o.nothing) == null_type",
        "o.name.startsWith('a') && o.name.matches('^[a-z]$')",
    ],
)
def test_values_without_a_schema_can_be_read(source: str) -> None:
    assert run(source) is True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("o.absent == 1", "no such key: absent"),
        ("none.spec.x == 1", "no such key: spec"),
        ("o.n.deeper == 1", "no such key: deeper"),
        ("o.list.name == 1", "unsupported index type 'string' in list"),
        ("has(o.list.name)", "unsupported index type 'string' in list"),
        ("o.labels[1] == 'x'", "no such key: 1"),
        ("o.list[4] == 1", "index out of bounds: 4"),
        ("o.name > 1", "no such overload"),
        ("o.name + 1 == 2", "no such overload"),
        ("o.n ? true : false", "no such overload"),
        ("o.n.all(x, true)", "no such overload"),
    ],
)
def test_what_is_not_there_or_does_not_fit_is_an_error(source: str, message: str) -> None:
    with pytest.raises(CelError) as caught:
        run(source)
    assert str(caught.value) == message


def plain(value: Any) -> Any:
    match value:
        case MapValue():
            return {key: plain(value.find(key)[1]) for key in value}
        case ListValue():
            assert [plain(value.at(position)) for position in range(len(value))] == [plain(one) for one in value]
            return [plain(one) for one in value]
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_read_is_what_was_there(value: Any) -> None:
    assert plain(dynamic(value)) == value
    checked = compile_expression("a == b", {"a": t.DYN, "b": t.DYN}, ROOT)
    assert Program(checked, ("a", "b")).run({"a": dynamic(value), "b": dynamic(value)}) is True


def test_more_functions_and_variables_with_dots_can_be_given() -> None:
    twice = Overload("twice", (t.INT,), t.INT, member=True)
    functions = {**FUNCTIONS, "twice": (twice,)}
    checked = compile_expression("a.b.twice() + a.c", {"a.b": t.INT, "a": t.DYN}, ROOT, functions)
    implementations = {**IMPLEMENTATIONS, "twice": lambda n: n * 2}
    program = Program(checked, ("a.b", "a"), implementations)
    assert program.run({"a.b": 4, "a": dynamic({"c": 1})}) == 9
    with pytest.raises(CelCompileError, match="undeclared reference to 'twice'"):
        compile_expression("a.twice()", {"a": t.INT}, ROOT)
