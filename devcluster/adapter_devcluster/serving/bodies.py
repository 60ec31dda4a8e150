"""Reading bodies: JSON, YAML and protobuf, quickly, and with what a strict decoder finds."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

import orjson
import yaml

from adapter_devcluster.presentation.protobuf.messages import MEDIA_TYPE as PROTOBUF
from adapter_devcluster.presentation.protobuf.messages import decode
from adapter_devcluster.presentation.protobuf.wire import ProtobufError
from adapter_devcluster.statuses import StatusError, bad_request, status_error, unsupported_media_type

LIMIT: Final = 3 * 1024 * 1024
_JSON_TYPES: Final = ("application/json", "")
_YAML_TYPES: Final = ("application/yaml", "application/apply-patch+yaml", "application/apply-patch+json")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: timestamps stay text, and keys are strings."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def too_large() -> StatusError:
    """413 for a body over the limit of 3 MiB."""
    message = f"limit is {LIMIT} bytes"
    return status_error(413, "RequestEntityTooLarge", f"Request entity is too large: {message}")


def read_body(raw: bytes, media: str, *, strict: bool) -> tuple[Any, tuple[str, ...]]:
    """Decode a body; with ``strict`` also tell of duplicate fields. Raises StatusError (400, 415).

    ``media`` is the content type without parameters; patches of JSON are JSON.
    """
    if media in _YAML_TYPES:
        return _read_yaml(raw), ()
    if media == PROTOBUF:
        return _read_protobuf(raw), ()
    if media in _JSON_TYPES or media.endswith("+json"):
        return _read_json(raw, strict=strict)
    raise unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )


def read_object(raw: bytes, media: str, *, strict: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Decode a body that has to be an object. Raises StatusError."""
    value, problems = read_body(raw, media, strict=strict)
    if not isinstance(value, dict):
        raise bad_request("the object provided is unrecognized (must be of type object): couldn't get version/kind")
    return value, problems


def _read_json(raw: bytes, *, strict: bool) -> tuple[Any, tuple[str, ...]]:
    try:
        if not strict:
            return orjson.loads(raw), ()
        duplicates: list[str] = []
        # orjson lets duplicates pass; the slower reader is only for those who ask.
        found = orjson.loads(raw)
        if raw.count(b'"') < 4:
            return found, ()
        json.loads(raw, object_pairs_hook=lambda pairs: _noting(pairs, duplicates))
        return found, tuple(duplicates)
    except (orjson.JSONDecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return _read_odd_json(raw), ()


def _noting(pairs: list[tuple[str, Any]], duplicates: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            duplicates.append(f'duplicate field "{name}"')
        found[name] = value
    return found


def _read_odd_json(raw: bytes) -> Any:  # noqa: ANN401 - a JSON value of any kind
    """Read what the quick reader refuses and Go takes: lone surrogates, bytes that are no UTF-8."""
    try:
        text = raw.decode("utf-8", "replace")
        value = json.loads(text, parse_constant=_no_constant, parse_int=_int, parse_float=_float)
        return json.loads(_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body of the request can't be read as JSON: {error}") from error


def _no_constant(name: str) -> Any:  # noqa: ANN401 - it returns nothing
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


def _int(text: str) -> int | float:
    """Numbers over 64 bits lose their last digits, as in Go and in the quick reader."""
    value = int(text) if len(text) < 20 else float(text)
    return value if -(2**63) <= value < 2**64 else _float(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"number {text} is out of range")
    return value


def _read_protobuf(raw: bytes) -> Any:  # noqa: ANN401 - a JSON value of any kind
    try:
        return decode(raw)
    except ProtobufError as error:
        raise bad_request(str(error)) from error


def _read_yaml(raw: bytes) -> Any:  # noqa: ANN401 - a JSON value of any kind
    try:
        value = yaml.load(raw, _Loader)  # noqa: S506 - the loader is a safe one
        # Through JSON, so that keys are strings and nothing is left that JSON has no word for.
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, orjson.JSONEncodeError, ValueError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: {error}") from error
