from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.apiextensions import go_time
from adapter_devcluster.apiextensions.errors import NotJsonError
from adapter_devcluster.apiextensions.go_text import fixed, json_text, kind, number, quote, text
from adapter_devcluster.apiextensions.json_values import clean_copy, deep_equal

pytestmark = pytest.mark.unit

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)  # no negative zero: JSON text loses it
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.1, "0.1"),
        (123456.0, "123456"),
        (1234567.0, "1.234567e+06"),
        (1e21, "1e+21"),
        (1e-4, "0.0001"),
        (1.5e-5, "1.5e-05"),
        (-0.0, "-0"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers_are_written_as_go_does(value: float, shown: str) -> None:
    assert number(value) == shown


def test_json_is_written_as_go_does() -> None:
    assert json_text({"b": [1, 1.0, 1e20, 1e21, 1e-7], "a": "<&>\u2028é"}) == (
        '{"a":"\\u003c\\u0026\\u003e\\u2028é","b":[1,1,100000000000000000000,1e+21,1e-7]}'
    )
    with pytest.raises(TypeError, match="set is not a JSON value"):
        json_text({1})


def test_other_forms() -> None:
    assert quote('a"b\n\x01\u2028\U000e0001é') == '"a\\"b\\n\\x01\\u2028\\U000e0001é"'
    assert fixed(1e21) == "1000000000000000000000"
    assert [text(v) for v in (None, True, "x", [1])] == ["<nil>", "true", "x", "[1]"]
    assert [kind(v) for v in (None, True, 1, 1.5, "", [], {})] == [
        "null", "boolean", "integer", "number", "string", "array", "object",
    ]  # fmt: skip


@given(JSON)
def test_written_json_reads_back(value: object) -> None:
    cleaned = clean_copy(value)
    # The text has lost the difference between 1 and 1.0, but no more is lost when it is read.
    assert json_text(clean_copy(json.loads(json_text(cleaned)))) == json_text(cleaned)
    assert deep_equal(clean_copy(cleaned), cleaned)


@pytest.mark.parametrize("value", [{1: 2}, float("nan"), [float("inf")], {"a": {1}}, 10**400, b""])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(NotJsonError):
        clean_copy(value)


def test_nesting_is_bounded() -> None:
    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    with pytest.raises(NotJsonError, match="nested deeper"):
        clean_copy(deep)


def test_equality_tells_numbers_and_booleans_apart() -> None:
    assert deep_equal({"a": [1, "x"]}, {"a": [1, "x"]})
    assert not deep_equal(1, 1.0)
    assert not deep_equal([True], [1])
    assert not deep_equal({"a": 1}, {"a": 1, "b": None})


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [("1h30m", 5400 * 10**9), ("-1.5s", -1500000000), ("0", 0), (".5ms", 500000), ("1µs", 1000), ("+2h", 7200 * 10**9)],
)
def test_durations(written: str, nanoseconds: int) -> None:
    assert go_time.parse_duration(written) == nanoseconds


@pytest.mark.parametrize("written", ["", "1", "h", "1d", "1h ", "1h30", "9999999h", "1.h.m", "--1s"])
def test_bad_durations(written: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        go_time.parse_duration(written)


def test_loose_durations() -> None:
    assert go_time.parse_loose_duration("3 hours") == 3 * 3600 * 10**9
    assert go_time.parse_loose_duration("2 wk") == 14 * 86400 * 10**9
    with pytest.raises(ValueError, match="unable to parse"):
        go_time.parse_loose_duration("soon")


@pytest.mark.parametrize(
    ("written", "again"),
    [
        ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05Z"),
        ("2020-01-02T03:04:05.120Z", "2020-01-02T03:04:05.12Z"),
        ("2020-01-02T03:04:05.123456789+02:00", "2020-01-02T01:04:05.123456789Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times(written: str, again: str) -> None:
    assert go_time.rfc3339(go_time.parse_date_time(written)) == again


def test_a_time_can_keep_its_zone() -> None:
    written = "2020-01-02T03:04:05.5-02:30"
    assert go_time.rfc3339(go_time.parse_date_time(written), go_time.zone_offset(written)) == written


@pytest.mark.parametrize(
    "written", ["2020-01-02", "2020-13-02T03:04:05Z", "2020-01-02T24:04:05Z", "2020-01-02 03:04:05Z"]
)
def test_bad_times(written: str) -> None:
    with pytest.raises(ValueError, match=r"is not an RFC 3339 time|must be in|month|day|hour|out of range"):
        go_time.parse_date_time(written)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (600, "10m"),
        (179 * 60, "179m"),
        (180 * 60, "3h"),
        (181 * 60, "3h1m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (51 * 3600, "2d3h"),
        (191 * 3600, "7d23h"),
        (192 * 3600, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (3000 * 86400, "8y"),
    ],
)
def test_ages(seconds: int, shown: str) -> None:
    assert go_time.human_duration(seconds * go_time.SECOND) == shown
