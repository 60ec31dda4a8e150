"""JSON patches: RFC 6902 and the server's answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.objects import Object, copy
from adapter_devcluster.patching.json_patch import MAX_OPERATIONS, json_patch
from adapter_devcluster.statuses import StatusError

pytestmark = pytest.mark.unit

TARGET: Object = {"a": {"b": 1, "n": None}, "l": [1, 2, 3], "s": "text"}


def refused(operations: object, target: Object = TARGET) -> tuple[int, str, str]:
    with pytest.raises(StatusError) as caught:
        json_patch(target, operations)
    return caught.value.code, caught.value.reason, str(caught.value)


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([], TARGET),
        ([{"op": "add", "path": "/a/c", "value": {"d": 1}}], {**TARGET, "a": {"b": 1, "n": None, "c": {"d": 1}}}),
        ([{"op": "add", "path": "/l/1", "value": 9}], {**TARGET, "l": [1, 9, 2, 3]}),
        ([{"op": "add", "path": "/l/-", "value": 9}], {**TARGET, "l": [1, 2, 3, 9]}),
        ([{"op": "remove", "path": "/l/0"}], {**TARGET, "l": [2, 3]}),
        ([{"op": "replace", "path": "/s", "value": "t"}], {**TARGET, "s": "t"}),
        ([{"op": "move", "from": "/a/b", "path": "/m"}], {**TARGET, "a": {"n": None}, "m": 1}),
        ([{"op": "copy", "from": "/l", "path": "/m"}], {**TARGET, "m": [1, 2, 3]}),
        ([{"op": "test", "path": "/a", "value": {"b": 1, "n": None}}], TARGET),
        ([{"op": "replace", "path": "", "value": {"new": 1}}], {"new": 1}),
        ([{"op": "add", "path": "/x~1y~0z", "value": 1}], {**TARGET, "x/y~z": 1}),
        # The server's own: to replace what is not there adds it, and nothing is as good as null.
        ([{"op": "replace", "path": "/a/new", "value": 1}], {**TARGET, "a": {"b": 1, "n": None, "new": 1}}),
        ([{"op": "test", "path": "/a/new", "value": None}], TARGET),
        ([{"op": "test", "path": "/a/n"}], TARGET),
        ([{"op": "add", "path": "/a/new"}], {**TARGET, "a": {"b": 1, "n": None, "new": None}}),
    ],
)
def test_operations(operations: list[Object], result: Object) -> None:
    target, sent = copy(TARGET), copy(operations)
    assert json_patch(target, sent) == result
    assert (target, sent) == (TARGET, operations)


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a/b", "value": 2},
        {"op": "test", "path": "/a/b", "value": True},
        {"op": "test", "path": "/a/new", "value": 1},
        {"op": "test", "path": "/l/9", "value": None},
        {"op": "remove", "path": "/a/new"},
        {"op": "remove", "path": ""},
        {"op": "remove", "path": "/l/-"},
        {"op": "replace", "path": "/l/3", "value": 1},
        {"op": "replace", "path": "/new/b", "value": 1},
        {"op": "replace", "path": "", "value": [1]},
        {"op": "replace", "path": "", "value": 1},
        {"op": "add", "path": "/new/b", "value": 1},
        {"op": "add", "path": "/l/4", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/s/x", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/~2", "value": 1},
        {"op": "add", "value": 1},
        {"op": "move", "from": "/new", "path": "/m"},
        {"op": "move", "from": "/a", "path": "/a/b"},
        {"op": "move", "path": "/m"},
        {"op": "copy", "path": "/m"},
        {"op": "copy", "from": "/l/-", "path": "/m"},
        {"op": "other", "path": "/m"},
        {"path": "/m"},
    ],
)
def test_operations_that_fail(operation: Object) -> None:
    message = "the server rejected our request due to an error in our request"
    assert refused([operation]) == (422, "Invalid", message)


@pytest.mark.parametrize(
    ("operations", "problem"),
    [
        ({}, "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (None, "cannot unmarshal null into Go value of type []handlers.jsonPatchOp"),
        ("text", "cannot unmarshal string into Go value of type []handlers.jsonPatchOp"),
        ([1], "cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        ([{"op": 5}], "cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
        ([{"op": "add", "path": []}], "cannot unmarshal array into Go struct field jsonPatchOp.path of type string"),
        ([{"from": True}], "cannot unmarshal bool into Go struct field jsonPatchOp.from of type string"),
    ],
)
def test_what_is_no_patch(operations: object, problem: str) -> None:
    assert refused(operations) == (400, "BadRequest", f"error decoding patch: json: {problem}")


def test_the_number_of_operations_is_limited() -> None:
    one = {"op": "test", "path": "/s", "value": "text"}
    assert json_patch(TARGET, [one] * MAX_OPERATIONS) == TARGET
    message = "The allowed maximum operations in a JSON patch is 10000, got 10001"
    assert refused([one] * (MAX_OPERATIONS + 1)) == (413, "RequestEntityTooLarge", message)


def test_copies_of_copies_are_limited() -> None:
    # Each operation doubles the object: 30 of them would make a gigabyte.
    bombs = [{"op": "copy", "from": "/x", "path": f"/x/{position}"} for position in range(30)]
    assert refused(bombs, {"x": {"y": "z" * 1000}})[0] == 422
    assert json_patch({"x": {}}, bombs[:2]) == {"x": {"0": {}, "1": {"0": {}}}}


def test_nesting_is_limited() -> None:
    deeper = [
        {"op": "add", "path": "/b", "value": {}},
        {"op": "move", "from": "/a", "path": "/b/a"},
        {"op": "move", "from": "/b", "path": "/a"},
    ]
    assert refused(deeper * 1000)[0] == 422


TEXTS = st.sampled_from(["", "/", "/a", "/a/b", "/l/0", "/l/-", "/l/-1", "/s/0", "/l/1/x", "/a~", "x", "/x/y", "/n"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.sampled_from("ab"), inside, max_size=2),
    max_leaves=4,
)
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "other", ""]) | VALUES,
        "path": TEXTS | VALUES,
        "from": TEXTS,
        "value": VALUES,
    },
)


@given(st.lists(OPERATIONS | VALUES, max_size=5) | VALUES)
def test_whatever_is_sent_is_applied_or_refused(operations: Any) -> None:
    target = copy(TARGET)
    try:
        code = 200 if isinstance(json_patch(target, operations), dict) else 0
    except StatusError as error:
        code = error.code
    assert code in (200, 400, 422)
    assert target == TARGET
