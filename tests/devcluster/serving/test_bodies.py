from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.serving.bodies import read_body, read_object
from adapter_devcluster.statuses import StatusError

pytestmark = pytest.mark.unit

JSON, YAML = "application/json", "application/yaml"


@pytest.mark.parametrize(
    ("raw", "media", "value"),
    [
        (b'{"a": 1}', JSON, {"a": 1}),
        (b'{"a": 1}', "", {"a": 1}),
        (b"[1]", "application/json-patch+json", [1]),
        (b"a: 1\nb: [x]", YAML, {"a": 1, "b": ["x"]}),
        (b'{"a": 1}', "application/apply-patch+yaml", {"a": 1}),
        (b"a: 2026-01-01\n1: x", YAML, {"a": "2026-01-01", "1": "x"}),
        (b'{"a": "\\ud800"}', JSON, {"a": "\ufffd"}),
        (b'{"a": "\xff"}', JSON, {"a": "\ufffd"}),
        (b"12345678901234567890123", JSON, 1.2345678901234568e22),
        (b'["\xff", 12345678901234567890123, 1.5, 7]', JSON, ["\ufffd", 1.2345678901234568e22, 1.5, 7]),
    ],
)
def test_bodies_that_can_be_read(raw: bytes, media: str, value: object) -> None:
    assert read_body(raw, media, strict=True) == (value, ())


@pytest.mark.parametrize(
    ("raw", "media", "code"),
    [
        (b"{", JSON, 400),
        (b"", JSON, 400),
        (b'{"a": NaN}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"1e999", JSON, 400),
        (b"a: [", YAML, 400),
        (b"a: !!python/object:os.system x", YAML, 400),
        (b"a: .nan\n? [x]\n: 1", YAML, 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/vnd.kubernetes.protobuf", 400),
    ],
)
def test_bodies_that_are_refused(raw: bytes, media: str, code: int) -> None:
    with pytest.raises(StatusError) as caught:
        read_body(raw, media, strict=False)
    assert caught.value.code == code


def test_duplicate_fields_are_told_of_when_asked_for() -> None:
    raw = b'{"a": {"b": 1, "b": 2}, "c": 1, "c": 3}'
    assert read_body(raw, JSON, strict=True) == (
        {"a": {"b": 2}, "c": 3},
        ('duplicate field "b"', 'duplicate field "c"'),
    )
    assert read_body(raw, JSON, strict=False)[1] == ()


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b'"x"'])
def test_an_object_has_to_be_one(raw: bytes) -> None:
    with pytest.raises(StatusError, match="must be of type object"):
        read_object(raw, JSON, strict=False)


@given(st.binary(max_size=200), st.sampled_from([JSON, YAML, "application/json-patch+json"]), st.booleans())
def test_whatever_is_sent_is_read_or_refused(raw: bytes, media: str, strict: bool) -> None:
    code = 200
    try:
        read_body(raw, media, strict=strict)
    except StatusError as error:
        code = error.code
    assert code in (200, 400)
