"""What a client sees of a refusal: code, reason, what it is about, and the causes. Texts are left out."""

from __future__ import annotations

import requests

Refusal = tuple[int, str, str, str, list[tuple[str, str]]]


def refusal(answer: requests.Response) -> Refusal:
    """Return code, reason, kind and name in details, and the causes' fields and reasons, in their order."""
    status = answer.json()
    assert status["kind"] == "Status", status
    assert status["code"] == answer.status_code
    details = status.get("details") or {}
    causes = [(one.get("field", ""), one.get("reason", "")) for one in details.get("causes") or []]
    reason, kind = status.get("reason", ""), details.get("kind", "")
    return answer.status_code, reason, kind, details.get("name", ""), causes


def bad_patch() -> Refusal:
    """The refusal of a patch that makes an object unreadable."""
    return 422, "Invalid", "", "", [("patch", "FieldValueInvalid")]
