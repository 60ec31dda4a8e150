from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import Object
from adapter_testing.judge_lab import change_refusal, created, manifest, refusal, updated

pytestmark = pytest.mark.unit

ADMISSION = "admissionregistration.k8s.io/v1"
SCHEMA = {"openAPIV3Schema": {"type": "object", "properties": {"x": {"type": "boolean", "default": False}}}}


def _version(name: str = "v1", **content: Any) -> Object:
    return {"name": name, "served": True, "storage": True, "schema": SCHEMA, **content}


def _definition(**spec: Any) -> Object:
    found = {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [_version()],
        **spec,
    }
    return manifest("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.test", spec=found)


def _established() -> Object:
    found = created(_definition())
    found["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    return found


def test_what_every_definition_gets() -> None:
    found = created({**_definition(), "status": {"storedVersions": ["v9"]}})
    assert found["metadata"]["generation"] == 1
    assert found["spec"]["names"] == {
        "kind": "Thing",
        "listKind": "ThingList",
        "plural": "things",
        "singular": "thing",
    }
    assert found["spec"]["conversion"] == {"strategy": "None"}
    assert found["spec"]["versions"][0]["schema"] == SCHEMA
    assert found["status"] == {
        "acceptedNames": {"kind": "", "plural": ""},
        "conditions": None,
        "storedVersions": ["v1"],
    }


def test_a_conversion_webhook_gets_its_port() -> None:
    webhook = {"clientConfig": {"service": {"name": "s", "namespace": "n"}}, "conversionReviewVersions": ["v1"]}
    found = created(_definition(conversion={"strategy": "Webhook", "webhook": webhook}))
    assert found["spec"]["conversion"]["webhook"]["clientConfig"]["service"]["port"] == 443


def test_what_is_wrong_with_a_definition() -> None:
    other = _definition()
    other["metadata"]["name"] = "others.example.test"
    assert refusal(other) == [("metadata.name", "Invalid")]
    nameless = _definition()
    nameless["metadata"] = {}
    assert refusal(nameless) == [("metadata.name", "Required")]
    assert refusal(_definition(names={"plural": "things"})) == [
        ("spec.names.kind", "Required"),
        ("spec.names.listKind", "Required"),
        ("spec.names.singular", "Required"),
    ]
    assert ("spec.versions", "Invalid") in refusal(_definition(versions=[]))
    assert refusal(_definition(versions=[_version(), _version("v2")])) == [
        ("spec.versions", "Invalid"),
        ("status.storedVersions", "Invalid"),
    ]


CLIENT = {"service": {"name": "s", "namespace": "n"}}


@pytest.mark.parametrize(
    ("conversion", "expected"),
    [
        ({"strategy": ""}, [("spec.conversion.strategy", "Required")]),
        ({"strategy": "x"}, [("spec.conversion.strategy", "NotSupported")]),
        (
            {"strategy": "Webhook"},
            [
                ("spec.conversion.conversionReviewVersions", "Required"),
                ("spec.conversion.webhookClientConfig", "Required"),
            ],
        ),
        (
            {"strategy": "Webhook", "webhook": {"clientConfig": {}, "conversionReviewVersions": ["v1"]}},
            [("spec.conversion.webhookClientConfig", "Required")],
        ),
        (
            {"strategy": "None", "webhook": {"clientConfig": CLIENT, "conversionReviewVersions": ["v1"]}},
            [("spec.conversion.webhookClientConfig", "Forbidden")],
        ),
        ({"strategy": "Webhook", "webhook": {"clientConfig": CLIENT, "conversionReviewVersions": ["v1"]}}, []),
    ],
)
def test_what_is_wrong_with_a_conversion(conversion: Object, expected: Any) -> None:
    assert refusal(_definition(conversion=conversion)) == expected


def test_groups_of_the_community_are_approved() -> None:
    def refused(**annotations: str) -> Any:
        found = _definition(group="example.k8s.io")
        found["metadata"] = {"name": "things.example.k8s.io", "annotations": annotations}
        return refusal(found)

    at = "metadata.annotations[api-approved.kubernetes.io]"
    assert refused() == [(at, "Required")]
    assert refused(**{"api-approved.kubernetes.io": "yes"}) == [(at, "Invalid")]
    assert refused(**{"api-approved.kubernetes.io": "https://example.test/1"}) == []
    assert refused(**{"api-approved.kubernetes.io": "unapproved, experimental"}) == []


def test_a_storage_version_stays_among_the_stored_ones() -> None:
    def forget(one: Object) -> None:
        one["status"]["storedVersions"] = None

    old = created(_definition())
    assert updated(old, forget)["status"]["storedVersions"] == ["v1"]
    odd = created(_definition())
    odd["status"]["storedVersions"] = []
    assert updated(odd, lambda one: one["metadata"].update(labels={"a": "b"}))["status"]["storedVersions"] == ["v1"]


def test_a_new_storage_version_is_noted() -> None:
    def change(one: Object) -> None:
        one["spec"]["versions"] = [_version(storage=False), _version("v2")]

    found = updated(_established(), change)
    assert found["status"]["storedVersions"] == ["v1", "v2"]
    assert found["status"]["conditions"][0]["type"] == "Established"
    assert found["metadata"]["generation"] == 2
    assert change_refusal(found, lambda one: one["spec"]["versions"].pop(0)) == [
        ("status.storedVersions[0]", "Invalid")
    ]


def test_what_can_not_change_in_a_definition() -> None:
    def change(one: Object) -> None:
        one["spec"]["scope"] = "Cluster"
        one["spec"]["names"] |= {"kind": "Other", "listKind": "OtherList"}

    assert change_refusal(created(_definition()), change) == []
    assert change_refusal(_established(), change) == [("spec.names.kind", "Invalid"), ("spec.scope", "Invalid")]


def test_the_status_of_a_definition() -> None:
    def change(one: Object) -> None:
        one["status"]["acceptedNames"] = {"kind": "Thing", "plural": "things"}
        one["metadata"]["finalizers"] = ["customresourcecleanup.apiextensions.k8s.io"]
        one["spec"]["scope"] = "Cluster"

    found = updated(created(_definition()), change, "status")
    assert found["status"]["acceptedNames"] == {"kind": "Thing", "plural": "things"}
    assert found["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert found["spec"]["scope"] == "Namespaced"


def test_policies() -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "true"}]}
    found = created(manifest(ADMISSION, "ValidatingAdmissionPolicy", spec=spec))
    assert found["spec"]["failurePolicy"] == "Fail"
    assert found["spec"]["matchConstraints"] == {
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "resourceRules": [{**rule, "scope": "*"}],
    }
    assert (found["status"], found["metadata"]["generation"]) == ({}, 1)
    assert created(manifest(ADMISSION, "ValidatingAdmissionPolicy"))["spec"] == {"failurePolicy": "Fail"}

    def change(one: Object) -> None:
        one["metadata"] |= {"labels": {"a": "b"}, "annotations": {"a": "b"}}
        one["status"] = {"observedGeneration": 1}

    checked = updated(found, change, "status")
    assert checked["status"] == {"observedGeneration": 1}
    assert not {"labels", "annotations"} & checked["metadata"].keys()


def test_bindings_of_policies() -> None:
    spec = {
        "policyName": "p",
        "validationActions": ["Deny"],
        "matchResources": {},
        "paramRef": {"name": "c", "namespace": "ns"},
    }
    found = created(manifest(ADMISSION, "ValidatingAdmissionPolicyBinding", spec=spec))["spec"]
    assert found["paramRef"]["parameterNotFoundAction"] == "Deny"
    assert found["matchResources"] == {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}}
    bare = created(manifest(ADMISSION, "ValidatingAdmissionPolicyBinding", spec={"policyName": "p"}))
    assert bare["spec"] == {"policyName": "p"}


def _webhooks(kind: str, **client: Any) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook = {"name": "a.example.test", "clientConfig": client, "rules": [rule], "sideEffects": "None"}
    return manifest(ADMISSION, kind, webhooks=[{**webhook, "admissionReviewVersions": ["v1"]}])


def test_webhooks() -> None:
    found = created(_webhooks("ValidatingWebhookConfiguration", service={"name": "s", "namespace": "n"}))
    webhook = found["webhooks"][0]
    assert (webhook["failurePolicy"], webhook["matchPolicy"], webhook["timeoutSeconds"]) == ("Fail", "Equivalent", 10)
    assert (webhook["namespaceSelector"], webhook["objectSelector"]) == ({}, {})
    assert webhook["rules"][0]["scope"] == "*"
    assert webhook["clientConfig"]["service"]["port"] == 443
    assert "reinvocationPolicy" not in webhook
    mutating = created(_webhooks("MutatingWebhookConfiguration", url="https://127.0.0.1/"))
    assert mutating["webhooks"][0]["reinvocationPolicy"] == "Never"
    assert mutating["metadata"]["generation"] == 1
    changed = updated(mutating, lambda one: one["webhooks"][0].update(timeoutSeconds=5))
    assert changed["metadata"]["generation"] == 2
