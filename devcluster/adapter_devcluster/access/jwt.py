"""JSON Web Tokens, as far as one process needs them that checks only what it signed itself: HS256 (RFC 7515, 7519)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from adapter_devcluster.objects import Object

_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


class BadTokenError(ValueError):
    """A text that is no token, or was not signed with this secret."""


def sign(claims: Mapping[str, Any], secret: bytes) -> str:
    """Write claims as a signed token."""
    body = f"{_encode(_json(_HEADER))}.{_encode(_json(claims))}"
    return f"{body}.{_encode(_signature(body, secret))}"


def read(token: str, secret: bytes) -> Object:
    """Return the claims of a token. Times in it are not looked at. Raises BadTokenError."""
    body, _, signature = token.rpartition(".")
    header, dot, claims = body.partition(".")
    try:
        if not dot or not hmac.compare_digest(_decode(signature), _signature(body, secret)):
            raise BadTokenError("not signed here")
        if json.loads(_decode(header)) != _HEADER:
            raise BadTokenError("another algorithm")
        found = json.loads(_decode(claims))
    except (binascii.Error, ValueError) as error:
        raise BadTokenError(str(error)) from error
    return dict(found)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _signature(body: str, secret: bytes) -> bytes:
    return hmac.digest(secret, body.encode(), hashlib.sha256)
