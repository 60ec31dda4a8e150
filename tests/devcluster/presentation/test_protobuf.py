from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.builtin.catalogue import BUILTIN
from adapter_devcluster.builtin.definitions import definition, definition_of, definitions, referenced
from adapter_devcluster.presentation.protobuf import ProtobufError, decode, messages

pytestmark = pytest.mark.unit

Part = int | bytes | str


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(*parts: tuple[int, Part]) -> bytes:
    """Encode fields, as a client does."""
    out = b""
    for number, value in parts:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(raw)) + raw
    return out


def body(api_version: str, kind: str, *parts: tuple[int, Part]) -> bytes:
    return b"k8s\x00" + message((1, message((1, api_version), (2, kind))), (2, message(*parts)), (3, b""), (4, b""))


NAME = (1, message((1, "x"), (2, ""), (7, 0), (8, b"")))
META = {"name": "x"}


def test_a_map_of_bytes_is_base64() -> None:
    found = decode(body("v1", "Secret", NAME, (2, message((1, "a"), (2, b"\xff"))), (3, "Opaque"), (5, 0)))
    assert found == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": META,
        "data": {"a": "/w=="},
        "type": "Opaque",
        "immutable": False,
    }


def test_what_may_be_zero_stays_zero_and_other_zeros_are_unset() -> None:
    pod = message(
        (
            2,
            message((1, "c"), (6, message((1, ""), (2, 0), (3, 80)))),
        ),
        (4, 0),
        (11, 0),
    )
    spec = message((1, 0), (2, b""), (3, message((2, pod))), (4, b""), (5, 0), (7, 0))
    found = decode(body("apps/v1", "Deployment", NAME, (2, spec), (3, b"")))
    assert found["spec"] == {
        "replicas": 0,
        "selector": {},
        "template": {
            "spec": {
                "containers": [{"name": "c", "ports": [{"containerPort": 80}]}],
                "terminationGracePeriodSeconds": 0,
            }
        },
    }
    assert "status" not in found


def test_sources_are_fields_of_the_volume_itself() -> None:
    empty_dir = message((1, "scratch"), (2, message((2, message((1, ""), (2, message((1, "1Gi"))))))))
    config = message((1, "config"), (2, message((19, message((1, message((1, "cm"))), (3, 0o600))))))
    found = decode(body("v1", "Pod", NAME, (2, message((1, empty_dir), (1, config)))))
    assert found["spec"]["volumes"] == [
        {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "config", "configMap": {"name": "cm", "defaultMode": 0o600}},
    ]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (message((1, 0), (2, 3)), 3),
        (message((1, 0), (2, 0)), 0),
        (message((1, 0), (2, -1)), -1),
        (message((1, 1), (2, 0), (3, "50%")), "50%"),
    ],
)
def test_numbers_or_strings(value: bytes, found: int | str) -> None:
    decoded = decode(body("policy/v1", "PodDisruptionBudget", NAME, (2, message((1, value)))))
    assert decoded["spec"]["minAvailable"] == found


def test_times() -> None:
    moment = int(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp())
    spec = message((1, "me"), (2, 15), (3, message((1, moment), (2, 6000))), (5, 2))
    meta = (1, message((1, "x"), (8, message((1, moment), (2, 999)))))
    found = decode(body("coordination.k8s.io/v1", "Lease", meta, (2, spec)))
    assert found["metadata"]["creationTimestamp"] == "2026-01-02T03:04:05Z"
    assert found["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-02T03:04:05.000006Z",
        "leaseTransitions": 2,
    }
    empty = decode(body("coordination.k8s.io/v1", "Lease", NAME, (2, message((3, b"")))))
    assert "spec" not in empty


def test_lists_of_strings_in_a_map() -> None:
    extra = message((1, "scopes"), (2, message((1, "a"), (1, "b"))))
    found = decode(body("authorization.k8s.io/v1", "SubjectAccessReview", (2, message((3, "u"), (5, extra)))))
    assert found["spec"] == {"user": "u", "extra": {"scopes": ["a", "b"]}}


def test_any_json() -> None:
    found = decode(body("apps/v1", "ControllerRevision", NAME, (2, message((1, '{"a":[1]}'))), (3, 2)))
    assert (found["data"], found["revision"]) == ({"a": [1]}, 2)
    assert "data" not in decode(body("apps/v1", "ControllerRevision", NAME, (2, b"")))


def test_options_of_a_deletion_are_of_any_group() -> None:
    found = decode(body("apps/v1", "DeleteOptions", (1, 0), (4, "Foreground")))
    assert found == {
        "kind": "DeleteOptions",
        "apiVersion": "apps/v1",
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }


def test_fields_of_another_version_are_left_out() -> None:
    unknown = (varint(200 << 3 | 1) + b"12345678", varint(201 << 3 | 5) + b"1234")
    raw = message((1, "x"), (202, "y"), (203, 4)) + b"".join(unknown)
    assert decode(body("v1", "Namespace", (1, raw)))["metadata"] == META


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"{}", "does not appear to be a protobuf message"),
        (body("v1", "Nothing"), 'no kind "Nothing" is registered for version "v1"'),
        (body("apiextensions.k8s.io/v1", "CustomResourceDefinition"), "no kind"),
        (body("v1", "Namespace", (1, 5)), "wrong wireType"),
        (body("v1", "Namespace", (1, message((7, "text")))), "wrong wireType"),
        (body("v1", "Namespace", (1, message((1, b"\xff")))), "invalid UTF-8"),
        (body("v1", "Namespace", (1, b"\x0a\x05x")), "unexpected EOF"),
        (body("v1", "Namespace", (1, b"\x0a")), "unexpected EOF"),
        (body("v1", "Namespace", (1, b"\x38" + b"\xff" * 11)), "integer overflow"),
        (body("v1", "Namespace", (1, b"\x0b")), "illegal wireType 3"),
        (body("apps/v1", "ControllerRevision", (2, message((1, "{")))), "unexpected end"),
    ],
)
def test_what_is_no_message(raw: bytes, problem: str) -> None:
    with pytest.raises(ProtobufError, match=problem):
        decode(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    for kind in ("Pod", "Secret"):
        try:
            found = decode(body("v1", kind) + message((2, raw)))
        except ProtobufError:
            continue
        assert found["kind"] == kind


@given(st.dictionaries(st.text(), st.text()))
def test_maps_arrive_whole(data: dict[str, str]) -> None:
    entries = [(2, message((1, key), (2, value))) for key, value in data.items()]
    assert decode(body("v1", "ConfigMap", *entries)).get("data", {}) == data


EXTENSIONS = ("admissionregistration.k8s.io", "apiextensions.k8s.io")
KINDS = [one for one in BUILTIN if one.group not in EXTENSIONS]


@pytest.mark.parametrize("served", KINDS, ids=lambda one: one.resource)
def test_every_kind_is_known_down_to_its_last_message(served: object) -> None:
    waiting = {definition_of(served.api_version, served.kind)}  # type: ignore[attr-defined]
    seen: set[str | None] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        assert name is not None
        assert name in messages._messages()
        for schema in definition(name).get("properties", {}).values():
            parts = [schema, schema.get("items"), schema.get("additionalProperties")]
            found = {referenced(part) for part in parts if isinstance(part, dict)}
            waiting |= {one for one in found if one and one not in messages._SPECIAL} - seen


def known_fields(name: str) -> set[str]:
    """Names of a message's fields, those of the messages inside it that JSON does not show too."""
    fields = messages._messages()[name].values()
    return {one.name for one in fields if not one.inlined}.union(
        *(known_fields(one.inlined) for one in fields if one.inlined)
    )


def test_every_field_has_a_schema() -> None:
    kinds = {definition_of(one.api_version, one.kind) for one in KINDS}
    for name in kinds | {name for name in messages._messages() if name in definitions()}:
        assert name is not None
        assert known_fields(name) <= set(definition(name)["properties"]), name
