"""Which error an answer stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapter_operator.runtime.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    error_of_answer,
)

pytestmark = pytest.mark.unit


def status(reason: str = "", **more: Any) -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": "words", **more}).encode()


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (400, status("BadRequest"), ApiError),
        (401, status("Unauthorized"), Unauthorized),
        (403, status("Forbidden"), Forbidden),
        (404, status("NotFound"), NotFound),
        (409, status("Conflict"), Conflict),
        (409, status("AlreadyExists"), AlreadyExists),
        (410, status("Expired"), Gone),
        (410, status("Gone"), Gone),
        (415, b"", ApiError),
        (422, status("Invalid"), Invalid),
        (429, status("TooManyRequests"), TooManyRequests),
        (500, status("InternalError"), Unavailable),
        (504, status("Timeout"), Unavailable),
        # What a proxy on the way says.
        (404, b"<html>not here</html>", NotFound),
        (429, b"[]", TooManyRequests),
        (502, b"\xff\xfe", Unavailable),
    ],
)
def test_reason_and_code_decide(code: int, body: bytes, expected: type[ApiError]) -> None:
    found = error_of_answer("GET /x", code, body)
    assert type(found) is expected
    assert found.code == code
    assert str(found).startswith(f"GET /x: {code}")


def test_a_namespace_that_ends_is_told_by_its_cause() -> None:
    found = error_of_answer(
        "POST /x", 403, status("Forbidden", details={"causes": [{"reason": "NamespaceTerminating"}]})
    )
    assert type(found) is NamespaceTerminating
    assert found.causes == ("NamespaceTerminating",)


@pytest.mark.parametrize(
    ("header", "details", "expected"),
    [
        ("7", {}, 7.0),
        (None, {"retryAfterSeconds": 3}, 3.0),
        ("7", {"retryAfterSeconds": 3}, 7.0),
        (None, {}, None),
        ("0", {}, None),
        ("-1", {}, None),
        ("inf", {}, None),
        ("nan", {}, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {"retryAfterSeconds": 2}, 2.0),
    ],
)
def test_the_servers_patience(header: str | None, details: dict[str, Any], expected: float | None) -> None:
    assert error_of_answer("GET /x", 429, status(details=details), header).retry_after == expected


def test_the_message_says_what_was_asked_and_answered() -> None:
    assert str(error_of_answer("GET /x", 404, status("NotFound"))) == "GET /x: 404 NotFound: words"
    assert str(error_of_answer("GET /x", 502, b"bad gateway")) == "GET /x: 502: bad gateway"
    assert str(error_of_answer("GET /x", 502, b"")) == "GET /x: 502: no explanation"
    assert len(str(error_of_answer("GET /x", 502, b"x" * 10_000))) < 600
