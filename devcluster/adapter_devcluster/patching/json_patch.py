"""JSON patches (RFC 6902), with the server's limits and answers (``apiserver/pkg/endpoints/handlers/patch.go``)."""

from __future__ import annotations

from typing import Any, Final

import jsonpatch
import orjson
from jsonpointer import JsonPointer, JsonPointerException

from adapter_devcluster.objects import Object, copy
from adapter_devcluster.patching.failures import unprocessable
from adapter_devcluster.statuses import bad_request, status_error

MAX_OPERATIONS: Final = 10_000
# Bytes that all copies of one patch may add together: a few copies of copies would fill any memory.
MAX_COPIED: Final = 3 * 1024 * 1024
_TEXTS: Final = ("op", "path", "from")
_KINDS: Final = {type(None): "null", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_FAILURES: Final = (
    jsonpatch.JsonPatchException, JsonPointerException, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def json_patch(target: Object, operations: object) -> Object:
    """Return ``target`` with a JSON patch applied.

    As on the server, replacing a field that is not there adds it, and testing it for null succeeds. Raises
    StatusError: 400 for what is no patch, 413 for more than 10,000 operations, 422 for operations that fail.
    """
    if not isinstance(operations, list):
        raise bad_request(f"error decoding patch: {_mismatch(operations, 'value', '[]handlers.jsonPatchOp')}")
    checked = [_checked(one) for one in operations]
    if len(checked) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(checked)}"
        raise status_error(413, "RequestEntityTooLarge", message)
    copied = 0
    try:
        patched: Any = copy(target)
        for operation in checked:
            if operation.get("op") == "copy":
                copied += len(orjson.dumps(JsonPointer(operation["from"]).resolve(patched)))
                if copied > MAX_COPIED:
                    raise unprocessable()
            patched = _applied(patched, operation)
        # Also finds what has become nested too deep to be written.
        orjson.dumps(patched)
    except _FAILURES as error:
        raise unprocessable() from error
    if not isinstance(patched, dict):
        raise unprocessable()
    return patched


def _checked(operation: object) -> Object:
    if not isinstance(operation, dict):
        raise bad_request(f"error decoding patch: {_mismatch(operation, 'value', 'handlers.jsonPatchOp')}")
    for name in _TEXTS:
        value = operation.get(name, "")
        if not isinstance(value, str):
            problem = _mismatch(value, f"struct field jsonPatchOp.{name}", "string")
            raise bad_request(f"error decoding patch: {problem}")
    return {"value": None, **operation}


def _mismatch(value: object, where: str, wanted: str) -> str:
    return f"json: cannot unmarshal {_KINDS.get(type(value), 'string')} into Go {where} of type {wanted}"


def _applied(document: object, operation: Object) -> object:
    kind, path = operation.get("op"), operation.get("path")
    if kind in ("replace", "test") and path:
        parent, name = JsonPointer(path).to_last(document)
        if isinstance(parent, dict) and name not in parent:
            if kind == "test" and operation["value"] is None:
                return document
            if kind == "replace":
                operation = {**operation, "op": "add"}
    return jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
