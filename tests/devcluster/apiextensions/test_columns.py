from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.apiextensions import Columns, SchemaError
from adapter_devcluster.apiextensions.go_time import SECOND, parse_date_time
from adapter_devcluster.apiextensions.json_path import JsonPath, JsonPathError

pytestmark = pytest.mark.unit

NOW = parse_date_time("2026-01-03T03:00:00Z")
OBJECT: dict[str, Any] = {
    "metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a.b/c": "dotted"}},
    "spec": {"n": 3, "f": 2.5, "b": True, "s": "text", "l": [1, 2, 3], "o": {"k": "v"}, "null": None, "empty": []},
    "status": {
        "conditions": [
            {"type": "Synced", "status": "False", "n": 1},
            {"type": "Ready", "status": "True", "reason": "Up", "n": 2, "ok": True},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.n", [3]),
        (".spec.gone.deeper", []),
        (".spec.l[0]", [1]),
        (".spec.l[-1]", [3]),
        (".spec.l[*]", [1, 2, 3]),
        (".spec.l[1:]", [2, 3]),
        (".spec.l[0:3:2]", [1, 3]),
        (".spec.l[0,2]", [1, 3]),
        (".spec.empty[*]", []),
        (".spec['n','s']", [3, "text"]),
        (".metadata.labels['a.b/c']", ["dotted"]),
        (r".metadata.labels.a\.b/c", ["dotted"]),
        ("$.spec.n", [3]),
        (".spec.o.*", ["v"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].reason", ["Up"]),
        ('.status.conditions[?(@.type != "Ready")].status', ["False"]),
        (".status.conditions[?(@.n>1)].type", ["Ready"]),
        (".status.conditions[?(@.n<=1)].type", ["Synced"]),
        (".status.conditions[?(@.n >= 1.5)].type", ["Ready"]),
        (".status.conditions[?(@.ok==true)].type", ["Ready"]),
        (".status.conditions[?(@.reason)].type", ["Ready"]),
        (".status.conditions[?(@.type==@.status)].type", []),
        ('.status.conditions[?(@.type==")]")].type', []),
        ("..reason", ["Up"]),
        (".status..type", ["Synced", "Ready"]),
    ],
)
def test_paths(path: str, found: list[Any]) -> None:
    assert JsonPath(path).find(OBJECT) == found


@pytest.mark.parametrize("path", ["spec", ".a[", ".a[x]", ".a[?(@.b", ".a[]", ".a[?(@.b=~1)]", ".a[0:1:0]", ".a{"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(JsonPathError):
        JsonPath(path)


@pytest.mark.parametrize(
    "path", [".spec.n[0]", ".spec.l[9]", ".spec.n[*]", ".status.conditions[?(@.type==1)]", ".spec.l[?(@..x>1)]"]
)
def test_values_that_a_path_does_not_fit(path: str) -> None:
    value = {**OBJECT, "spec": {**OBJECT["spec"], "l": [{"a": {"x": 1}, "x": 2}]}} if "@..x" in path else OBJECT
    with pytest.raises(JsonPathError):
        JsonPath(path).find(value)


@given(st.text(alphabet=".[]?(@)*'\"=<!:,0-a\\$ {}", max_size=14))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        JsonPath(text).find(OBJECT)
    except JsonPathError:
        return


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [
        ("string", ".spec.s", "text"),
        ("string", ".spec.n", "3"),
        ("string", ".spec.f", "2.5"),
        ("string", ".spec.b", "true"),
        ("string", ".spec.o", '{"k":"v"}'),
        ("string", ".spec.l", "[1,2,3]"),
        ("string", ".spec.null", "null"),
        ("string", ".spec.gone", None),
        ("string", ".spec.l[9]", None),
        ("integer", ".spec.n", 3),
        ("integer", ".spec.f", 2),
        ("integer", ".spec.s", None),
        ("integer", ".spec.b", None),
        ("number", ".spec.n", 3.0),
        ("number", ".spec.b", None),
        ("boolean", ".spec.b", True),
        ("boolean", ".spec.n", None),
        ("date", ".metadata.creationTimestamp", "2d3h"),
        ("date", ".spec.s", "<invalid>"),
        ("date", ".spec.n", None),
        ("date", ".spec.gone", None),
    ],
)
def test_cells(kind: str, path: str, cell: Any) -> None:
    columns = Columns.compile({"additionalPrinterColumns": [{"name": "C", "type": kind, "jsonPath": path}]})
    assert columns.cells(OBJECT, NOW) == ["x", cell]
    assert type(columns.cells(OBJECT, NOW)[1]) is type(cell)


def test_definitions() -> None:
    raw = {"name": "C", "type": "integer", "jsonPath": ".spec.n", "format": "int32", "priority": 1, "description": "d"}
    name, column, plain = Columns.compile({"additionalPrinterColumns": [raw, {**raw, "description": ""}]}).definitions()
    assert (name["name"], name["type"], name["format"]) == ("Name", "string", "name")
    assert column == {"name": "C", "type": "integer", "format": "int32", "description": "d", "priority": 1}
    assert plain["description"] == "Custom resource definition column (in JSONPath format): .spec.n"


def test_without_columns_there_is_the_age() -> None:
    columns = Columns.compile({})
    assert [c["name"] for c in columns.definitions()] == ["Name", "Age"]
    assert columns.cells(OBJECT, NOW) == ["x", "2d3h"]
    assert columns.cells({}, NOW + SECOND) == ["", None]


def test_columns_with_bad_paths_are_refused() -> None:
    with pytest.raises(SchemaError, match=r'additionalPrinterColumns\[0\].jsonPath: Invalid value: "x"'):
        Columns.compile({"additionalPrinterColumns": [{"name": "C", "type": "string", "jsonPath": "x"}]})


def test_an_integer_that_no_client_can_read_is_left_out() -> None:
    columns = Columns.compile({"additionalPrinterColumns": [{"name": "C", "type": "integer", "jsonPath": ".spec.n"}]})
    assert columns.cells({"metadata": {"name": "x"}, "spec": {"n": 1e300}}, NOW) == ["x", None]
