"""Creations and updates as a whole: strictness, namespaces, status, generation, ratcheting, refusals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from adapter_devcluster.apiextensions import Admitted, Refused, Resource, Scale, Schema, SchemaError

pytestmark = pytest.mark.unit

Make = Callable[..., Schema]
Thing = Callable[..., dict[str, Any]]

TEXT, INT = {"type": "string"}, {"type": "integer"}
RULES = "x-kubernetes-validations"
SKIPPED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def admitted(answer: Admitted | Refused) -> Admitted:
    assert isinstance(answer, Admitted), answer
    return answer


def errors(answer: Admitted | Refused) -> list[str]:
    assert isinstance(answer, Refused), answer
    return [str(error) for error in answer.errors]


def message(answer: Admitted | Refused) -> str:
    assert isinstance(answer, Refused), answer
    assert answer.status["code"] == 400
    assert answer.status["reason"] == "BadRequest"
    assert answer.errors == ()
    return str(answer.status["message"])


def test_pruned_fields_are_named(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a=TEXT, l={"type": "array", "items": obj(b=TEXT)}))
    sent = thing({"a": "x", "z": 1, "l": [{"c": 1}]}, extra=1)
    sent["metadata"]["colour"] = "red"
    answer = admitted(schema.admit_create(sent))
    assert answer.object["spec"] == {"a": "x", "l": [{}]}
    assert answer.pruned == ("metadata.colour", "extra", "spec.l[0].c", "spec.z")
    assert answer.warnings == ()
    warned = admitted(schema.admit_create(sent, field_validation="Warn"))
    assert warned.warnings == tuple(f'unknown field "{path}"' for path in answer.pruned)
    assert message(schema.admit_create(sent, field_validation="Strict")) == (
        'Thing in version "v1" cannot be handled as a Thing: strict decoding error: unknown field "metadata.colour", '
        'unknown field "extra", unknown field "spec.l[0].c", unknown field "spec.z"'
    )


def test_what_a_decoder_found_counts_as_well(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a=TEXT))
    found = ['duplicate field "spec.a"']
    assert admitted(schema.admit_create(thing({}), decoding_errors=found)).warnings == ()
    assert admitted(schema.admit_create(thing({}), decoding_errors=found, field_validation="Warn")).warnings == tuple(
        found
    )
    assert message(schema.admit_create(thing({}), decoding_errors=found, field_validation="Strict")).endswith(
        'strict decoding error: duplicate field "spec.a"'
    )
    assert message(schema.admit_update(thing({}), thing({"z": 1}), field_validation="Strict")).endswith(
        'strict decoding error: unknown field "spec.z"'
    )


def test_nothing_that_was_given_is_changed(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a={**TEXT, "default": "d"}), status=True, properties={"status": obj(s=TEXT)})
    sent = thing({"z": 1}, status={"s": "x"})
    before = copy.deepcopy(sent)
    answer = admitted(schema.admit_create(sent, namespace="ns"))
    schema.admit_update(sent, sent, subresource="status")
    assert sent == before
    answer.object["spec"]["a"] = "changed"
    assert admitted(schema.admit_create(sent)).object["spec"] == {"a": "d"}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ({"kind": 1}, ".kind accessor error: 1 is of the type integer, expected string"),
        (
            {"kind": "Thing", "apiVersion": None},
            ".apiVersion accessor error: <nil> is of the type null, expected string",
        ),
        ({"kind": "Thing", "metadata": 5}, "json: cannot unmarshal number into Go value of type v1.ObjectMeta"),
        ({"kind": "Thing", "spec": {"a": float("nan")}}, "spec.a: nan is not a JSON number"),
    ],
)
def test_bodies_that_cannot_be_decoded(schema_of: Make, sent: Any, expected: str) -> None:
    answer = schema_of(obj(a=TEXT)).admit_create(sent)
    assert message(answer) == f'Thing in version "v1" cannot be handled as a Thing: {expected}'


def test_embedded_metadata_that_cannot_be_decoded(schema_of: Make, thing: Thing) -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = schema_of(obj(t=embedded))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "more": 1}, "spec": {"any": 1}}
    answer = admitted(schema.admit_create(thing({"t": pod})))
    assert answer.pruned == ("spec.t.metadata.more",)
    assert answer.object["spec"]["t"] == {**pod, "metadata": {"name": "p"}}
    assert "spec.t.metadata: Invalid value" in message(schema.admit_create(thing({"t": {**pod, "metadata": 1}})))
    assert errors(schema.admit_create(thing({"t": {"kind": "Pod"}}))) == ["spec.t.apiVersion: Required value"]
    old = thing({"t": pod})
    assert errors(schema.admit_update(old, thing({"t": {"kind": "Pod"}}))) == ["spec.t.apiVersion: Required value"]


def test_namespaces(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj())
    assert admitted(schema.admit_create(thing({}), namespace="ns")).object["metadata"]["namespace"] == "ns"
    elsewhere = thing({})
    elsewhere["metadata"]["namespace"] = "other"
    assert message(schema.admit_create(elsewhere, namespace="ns")) == (
        "the namespace of the provided object does not match the namespace sent on the request"
    )
    assert admitted(schema.admit_create(elsewhere)).object["metadata"]["namespace"] == "other"
    clustered = Schema.compile({"type": "object"}, Resource("example.dev", "v1", "Thing", namespaced=False))
    assert "namespace" not in admitted(clustered.admit_create(elsewhere)).object["metadata"]


def test_other_kinds_are_refused_by_their_own_name(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a={**TEXT, "default": "d"}))
    other = {**thing({"z": 1}), "kind": "Other", "apiVersion": "else.dev/v2"}
    answer = schema.admit_create(other)
    assert errors(answer) == [
        'kind: Invalid value: "Other": must be Thing',
        'apiVersion: Invalid value: "else.dev/v2": must be example.dev/v1',
    ]
    assert isinstance(answer, Refused)
    assert str(answer.status["message"]).startswith('Other.else.dev "x" is invalid: [kind: ')
    assert errors(schema.admit_update(thing({}), other))[0] == 'kind: Invalid value: "Other": must be Thing'


def test_rules_wait_for_the_values(schema_of: Make, thing: Thing) -> None:
    spec = {
        **obj(a={**TEXT, "maxLength": 2, "pattern": "^[a-z]+$"}),
        RULES: [{"rule": "self.a != 'UP'", "message": "rule"}],
    }
    schema = schema_of(spec)
    too_long = "spec.a: Too long: may not be more than 2 bytes"
    assert errors(schema.admit_create(thing({"a": "UPP"}))) == [too_long, SKIPPED]
    pattern = "spec.a: Invalid value: \"UP\": spec.a in body should match '^[a-z]+$'"
    assert errors(schema.admit_create(thing({"a": "UP"}))) == [pattern, "spec: Invalid value: rule"]
    assert errors(schema_of(obj(a={**TEXT, "maxLength": 2})).admit_create(thing({"a": "UPP"}))) == [too_long]


def test_generation_counts_changes_of_content(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a=TEXT), status=True, properties={"status": obj(s=TEXT)})
    old = admitted(schema.admit_create(thing({"a": "x"}))).object
    assert old["metadata"]["generation"] == 1
    labelled = {**old, "metadata": {**old["metadata"], "labels": {"k": "v"}, "generation": 9}}
    same = admitted(schema.admit_update(old, labelled)).object
    assert same["metadata"]["generation"] == 1
    changed = admitted(schema.admit_update(same, {**same, "spec": {"a": "y"}})).object
    assert changed["metadata"]["generation"] == 2
    reported = admitted(schema.admit_update(changed, {**changed, "status": {"s": "1"}}, subresource="status")).object
    assert reported["metadata"]["generation"] == 2
    assert reported["status"] == {"s": "1"}


def test_updates_keep_what_is_the_servers(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj())
    server = {
        "uid": "u",
        "resourceVersion": "1",
        "creationTimestamp": "2020-01-01T00:00:00Z",
        "deletionTimestamp": "2020-01-02T00:00:00Z",
        "deletionGracePeriodSeconds": 0,
        "generation": 3,
    }
    old = thing({})
    old["metadata"] |= server
    new = thing({})
    new["metadata"]["resourceVersion"] = "1"
    assert admitted(schema.admit_update(old, new)).object["metadata"] == {"name": "x", **server}


def test_without_a_status_subresource_status_is_a_field(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(), properties={"status": obj(s=TEXT)})
    old = admitted(schema.admit_create(thing({}, status={"s": "a"}))).object
    assert old["status"] == {"s": "a"}
    assert admitted(schema.admit_update(old, {**old, "status": {"s": "b"}})).object["status"] == {"s": "b"}


def test_status_updates_validate_the_whole_object(schema_of: Make, thing: Thing) -> None:
    rules = [{"rule": "!has(self.status) || self.status.n <= self.spec.limit", "message": "over the limit"}]
    schema = schema_of(
        obj(limit=INT),
        status=True,
        properties={
            "status": {
                **obj(n=INT, l={"type": "array", "x-kubernetes-list-type": "set", "items": TEXT}),
                "required": ["n"],
            }
        },
        **{RULES: rules},
    )
    old = thing({"limit": 3})

    def update(status: Any) -> Admitted | Refused:
        return schema.admit_update(old, {**thing({"limit": 99}), "status": status}, subresource="status")

    answer = admitted(update({"n": 3, "z": 1}))
    assert answer.object["spec"] == {"limit": 3}
    assert answer.object["status"] == {"n": 3}
    assert answer.pruned == ("status.z",)
    assert errors(update({"n": 4})) == ["<nil>: Invalid value: over the limit"]
    assert errors(update({"n": "4"})) == [
        'status.n: Invalid value: "string": n in body must be of type integer: "string"',
        SKIPPED,
    ]
    assert errors(update({})) == ["status.n: Required value", SKIPPED]
    assert errors(update({"n": 1, "l": ["a", "a"]})) == ['status.l[1]: Duplicate value: "a"']
    assert "status" not in admitted(schema.admit_update(old, thing({}), subresource="status")).object


def test_unchanged_values_are_let_through(schema_of: Make, thing: Thing) -> None:
    item = obj(name=TEXT, n={**INT, "maximum": 5})
    listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    spec = obj(
        a={**TEXT, "maxLength": 3},
        b={**TEXT, "maxLength": 3, RULES: [{"rule": "self != 'bad'", "message": "is bad"}]},
        l={**listed, "items": {**item, "required": ["name"]}},
        s={"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
    )
    schema = schema_of(spec)
    old = thing({"a": "long", "b": "bad", "l": [{"name": "x", "n": 9}], "s": ["a", "a"]})

    def update(**spec: Any) -> Admitted | Refused:
        return schema.admit_update(old, thing({**old["spec"], **spec}))

    answer = admitted(update(l=[{"name": "new"}, {"name": "x", "n": 9}], s=["b", "b"]))
    assert answer.warnings == ('spec.b: Invalid value: "bad": is bad',)
    assert errors(update(a="longer")) == ["spec.a: Too long: may not be more than 3 bytes", SKIPPED]
    assert errors(update(l=[{"name": "x", "n": 8}])) == [
        "spec.l[0].n: Invalid value: 8: spec.l[0].n in body should be less than or equal to 5"
    ]
    assert errors(schema.admit_create(old))[:2] == [
        "spec.a: Too long: may not be more than 3 bytes",
        "spec.l[0].n: Invalid value: 9: spec.l[0].n in body should be less than or equal to 5",
    ]
    # A set that was fine has to stay so.
    fine = thing({"s": ["a"]})
    assert errors(schema.admit_update(fine, thing({"s": ["a", "a"]}))) == ['spec.s[1]: Duplicate value: "a"']


def test_required_fields_are_ratcheted_with_their_object(schema_of: Make, thing: Thing) -> None:
    schema = schema_of({**obj(o={**obj(a=TEXT), "required": ["a"]}, b=TEXT)})
    old = thing({"o": {}, "b": "1"})
    assert admitted(schema.admit_update(old, thing({"o": {}, "b": "2"}))).object["spec"] == {"o": {}, "b": "2"}
    assert errors(schema.admit_update(thing({"b": "1"}), old)) == ["spec.o.a: Required value"]


def test_stored_objects_are_served_by_the_schema_of_today(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a={**TEXT, "default": "d"}))
    assert schema.load(thing({"gone": 1}))["spec"] == {"a": "d"}
    # So an update that only makes up for that changes nothing.
    answer = admitted(schema.admit_update(thing({"gone": 1}), thing({"a": "d"})))
    assert answer.object["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"n": -1}, {}, [".spec.n: Invalid value: -1: should be a non-negative integer"]),
        ({"n": 2**31}, {}, [".spec.n: Invalid value: 2147483648: should be less than or equal to 2147483647"]),
        (
            {"n": "x"},
            {},
            [".spec.n: Invalid value: 0: .spec.n accessor error: x is of the type string, expected int64"],
        ),
        ({}, {"n": -1}, [".status.n: Invalid value: -1: should be a non-negative integer"]),
        (
            {},
            {"s": 1},
            ['.status.s: Invalid value: "": .status.s accessor error: 1 is of the type int64, expected string'],
        ),
        (
            {},
            5,
            [
                ".status.n: Invalid value: 0: .status accessor error: 5 is of the type int64, "
                "expected map[string]interface{}"
            ],
        ),
        ({}, {}, []),
    ],
)
def test_scale_fields_can_be_read(schema_of: Make, thing: Thing, spec: Any, status: Any, expected: list[str]) -> None:
    free = {"x-kubernetes-preserve-unknown-fields": True}
    schema = schema_of(free, scale=Scale(".spec.n", ".status.n", ".status.s"), properties={"status": free})
    answer = schema.admit_create(thing(spec, status=status))
    found = [] if isinstance(answer, Admitted) else errors(answer)
    assert found[: len(expected)] == expected
    if not expected:
        assert found == []


def test_finalizer_names_are_warned_about(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj())
    new = thing({})
    new["metadata"]["finalizers"] = ["plain"]
    assert admitted(schema.admit_create(new)).warnings[0].startswith('metadata.finalizers: "plain": prefer')
    assert admitted(schema.admit_update(new, new)).warnings == ()


def test_schemas_a_server_would_refuse_are_not_compiled(gadget_crd: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match=r"spec.versions\[0\].schema.openAPIV3Schema.properties\[spec\].type"):
        Schema.compile({"type": "object", "properties": {"spec": {}}}, Resource("example.dev", "v1", "Thing"))
    with pytest.raises(SchemaError, match='Invalid value: "v9": is not a version of this definition'):
        Schema.from_crd(gadget_crd, "v9")
    with pytest.raises(SchemaError, match="openAPIV3Schema: Required value"):
        Schema.from_crd({"spec": {"versions": [{"name": "v1"}]}}, "v1")


def test_what_a_definition_says_beside_its_schema(gadgets: Schema) -> None:
    assert gadgets.resource == Resource(
        group="conformance.adapters.dev",
        version="v1alpha1",
        kind="Gadget",
        namespaced=True,
        status_subresource=True,
        scale=Scale(".spec.replicas", ".status.replicas", ".status.selector"),
    )
    assert gadgets.resource.api_version == "conformance.adapters.dev/v1alpha1"
    assert gadgets.warnings == ()


def test_refusals_name_no_group_where_there_is_none() -> None:
    schema = Schema.compile({"type": "object"}, Resource("example.dev", "v1", "Thing"))
    answer = schema.admit_create({"kind": "Bare", "apiVersion": "v1"})
    assert isinstance(answer, Refused)
    assert answer.status["message"] == (
        'Bare "" is invalid: [kind: Invalid value: "Bare": must be Thing, '
        'apiVersion: Invalid value: "v1": must be example.dev/v1]'
    )
    assert set(answer.status["details"]) == {"kind", "causes"}


def test_whole_floats_come_back_from_storage_as_integers(schema_of: Make, thing: Thing) -> None:
    number = {"type": "number"}
    schema = schema_of(obj(n={**INT, RULES: [{"rule": "self >= oldSelf"}]}, l={"type": "array", "items": number}))
    answer = admitted(schema.admit_create(thing({"n": 1.0, "l": [1e18, -0.0, 0.5, 1e19, 9.223372036854775e18]})))
    stored = answer.object["spec"]
    assert stored == {"n": 1, "l": [10**18, 0, 0.5, 1e19, 9223372036854775000]}
    assert [type(value) for value in [stored["n"], *stored["l"]]] == [int, int, int, float, float, int]
    assert admitted(schema.admit_update(thing({"n": 1.0}), thing({"n": 1}))).object["spec"] == {"n": 1}
    assert errors(schema.admit_update(answer.object, thing({"n": 1.0}))) == [
        'spec.n: Invalid value: "integer": invalid data, expected int, got number evaluating rule: self >= oldSelf'
    ]


def test_nobody_creates_what_is_being_deleted(schema_of: Make, thing: Thing) -> None:
    sent = thing({"a": "x"})
    sent["metadata"] |= {
        "deletionTimestamp": "2030-01-31T12:00:00Z",
        "deletionGracePeriodSeconds": 30,
        "selfLink": "/somewhere",
    }
    answer = admitted(schema_of(obj(a=TEXT)).admit_create(sent))
    assert answer.object["metadata"].keys() & {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"} == set()


def test_what_has_no_utf_8_form_is_replaced(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a={"type": "string", "format": "hostname"}, b=TEXT))
    answer = admitted(schema.admit_create(thing({"b": "x\ud800y", "\udfff": 1})))
    assert answer.object["spec"] == {"b": "x\ufffdy"}
    assert answer.pruned == ("spec.\ufffd",)
    assert admitted(schema.admit_create(thing({"a": "\ud800"}))).object["spec"] == {"a": "\ufffd"}


@pytest.mark.parametrize("api_version", ["a/b/c", "apps/", ""])
def test_an_owner_needs_a_version(schema_of: Make, thing: Thing, api_version: str) -> None:
    sent = thing({"a": "x"})
    sent["metadata"]["ownerReferences"] = [{"apiVersion": api_version, "kind": "Job", "name": "j", "uid": "u"}]
    assert any("version must not be empty" in error for error in errors(schema_of(obj(a=TEXT)).admit_create(sent)))


def test_many_errors_take_their_time_once(schema_of: Make, thing: Thing) -> None:
    """Each of 20,000 bad items is reported; comparing every error with every other took minutes."""
    schema = schema_of(obj(l={"type": "array", "items": {"type": "string", "maxLength": 1}}))
    answer = schema.admit_create(thing({"l": [f"item {index}" for index in range(20_000)]}))
    assert len([error for error in errors(answer) if "Too long" in error]) == 20_000


def test_an_update_may_leave_its_namespace_to_the_request(schema_of: Make, thing: Thing) -> None:
    schema = schema_of(obj(a=TEXT))
    stored = admitted(schema.admit_create(thing({"a": "x"}), namespace="here")).object
    sent = thing({"a": "y"})
    assert "namespace" not in sent["metadata"]
    answer = admitted(schema.admit_update(stored, sent))
    assert answer.object["metadata"]["namespace"] == "here"
    sent["metadata"]["namespace"] = "there"
    assert any("metadata.namespace" in error for error in errors(schema.admit_update(stored, sent)))
