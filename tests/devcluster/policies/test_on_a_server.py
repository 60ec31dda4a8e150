"""Policies, roles and tokens on the whole server in this process: defaults, judges, definitions, subresources."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapter_devcluster.access.bootstrap import bootstrap_objects
from adapter_devcluster.access.users import AUTHENTICATED, User
from adapter_devcluster.api.call import SYSTEM_USER, Call, DeleteOptions
from adapter_devcluster.api.server import Api
from adapter_devcluster.objects import Object
from adapter_devcluster.policies import PARAMS_WARM_UP, PolicyAdmission
from adapter_devcluster.statuses import StatusError
from adapter_testing.access_lab import RBAC, rule

pytestmark = pytest.mark.integration

ADMISSION = "admissionregistration.k8s.io/v1"
MERGE = "application/merge-patch+json"
ANN = User("ann", (AUTHENTICATED,))
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.test"},
    "spec": {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"replicas": {"type": "integer", "default": 1}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@dataclass
class Scene:
    """A server with a namespace ``one``; what a call is answered with, or the refusal of it."""

    api: Api = field(default_factory=lambda: Api({}))
    clock: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def post(self, body: Object, user: User = SYSTEM_USER, *, dry_run: bool = False) -> Object:
        group, _, version = body["apiVersion"].rpartition("/")
        served = next(
            one
            for one in self.api.registry.types()
            if (one.group, one.version, one.kind) == (group, version, body["kind"])
        )
        found = self.api.registry.find(group, version, served.plural)
        assert found is not None
        call = Call(user=user, dry_run=dry_run, warnings=self.warnings)
        return self.api.create(found, body["metadata"].get("namespace", ""), body, call).object

    def patch(self, resource: str, name: str, body: Object, user: User = SYSTEM_USER, subresource: str = "") -> Object:
        served = self.api.served(resource)
        namespace = "one" if served.type.namespaced else ""
        return self.api.patch(served, namespace, name, body, MERGE, Call(user=user), subresource).object

    def delete(self, resource: str, name: str) -> None:
        served = self.api.served(resource)
        namespace = "one" if served.type.namespaced else ""
        self.api.delete(served, namespace, name, DeleteOptions(), Call())


def play(scene: Callable[[Scene], None]) -> None:
    """Play a scene on a server that has begun as every cluster does."""

    async def played() -> None:
        on = Scene()
        # The clock of the policies is the scene's.
        admission = PolicyAdmission(
            on.api.client(), on.api.authorizer, on.api.policies._version, clock=lambda: on.clock
        )
        on.api._admission._policies = admission
        on.api.custom_resources.start()
        for resource, obj in [*bootstrap_objects(), ("namespaces", named("v1", "Namespace", "one", ""))]:
            on.api.client().create(resource, obj)
        served = asyncio.Event()
        end = on.api.client().watch(
            "customresourcedefinitions.apiextensions.k8s.io",
            lambda _: served.set() if on.api.registry.find("example.test", "v1", "widgets") else None,
        )
        on.post(DEFINITION)
        await served.wait()
        end()
        scene(on)
        on.api.custom_resources.stop()

    asyncio.run(asyncio.wait_for(played(), 10))


def named(api_version: str, kind: str, name: str, namespace: str = "one", **more: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def widget(name: str, replicas: int) -> Object:
    return named("example.test/v1", "Widget", name, spec={"replicas": replicas})


def policy(**spec: Any) -> Object:
    rules = [
        {
            "apiGroups": ["example.test"],
            "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["widgets"],
        }
    ]
    return named(
        ADMISSION,
        "ValidatingAdmissionPolicy",
        "limit",
        "",
        spec={
            "matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": "object.spec.replicas <= 2"}],
            **spec,
        },
    )


def binding(**spec: Any) -> Object:
    spec = {"policyName": "limit", "validationActions": ["Deny"], **spec}
    return named(ADMISSION, "ValidatingAdmissionPolicyBinding", "limit", "", spec=spec)


def refusal(do: Callable[[], Any]) -> tuple[int, str]:
    try:
        do()
    except StatusError as error:
        return error.code, str(error)
    return 0, ""


def test_a_policy_limits_what_is_written() -> None:
    def scene(on: Scene) -> None:
        on.post(policy())
        on.post(widget("before", 5))
        on.post(binding())
        message = (
            "widgets.example.test \"a\" is forbidden: ValidatingAdmissionPolicy 'limit' with binding 'limit' "
            "denied request: failed expression: object.spec.replicas <= 2"
        )
        assert refusal(lambda: on.post(widget("a", 3))) == (422, message)
        assert refusal(lambda: on.post(widget("a", 3), dry_run=True)) == (422, message)
        on.post(widget("a", 2))
        assert refusal(lambda: on.patch("widgets.example.test", "a", {"spec": {"replicas": 3}})) == (422, message)
        # What a default fills in is seen too; a status is another resource.
        on.post(named("example.test/v1", "Widget", "b", spec={}))
        on.patch("widgets.example.test", "before", {"status": {"n": 1}}, subresource="status")
        on.delete("widgets.example.test", "before")
        on.delete("validatingadmissionpolicybindings.admissionregistration.k8s.io", "limit")
        on.patch("widgets.example.test", "a", {"spec": {"replicas": 3}})

    play(scene)


def test_a_policy_takes_its_limit_from_a_config_map() -> None:
    def scene(on: Scene) -> None:
        validation = {
            "expression": "object.spec.replicas <= int(params.data.maxReplicas)",
            "messageExpression": "'at most ' + params.data.maxReplicas + ' replicas here'",
            "reason": "Forbidden",
        }
        on.post(policy(paramKind={"apiVersion": "v1", "kind": "ConfigMap"}, validations=[validation]))
        on.post(named("v1", "ConfigMap", "limits", data={"maxReplicas": "2"}))
        reference = {"name": "limits", "namespace": "one", "parameterNotFoundAction": "Deny"}
        on.post(binding(paramRef=reference))
        for replicas in (2, 3):
            code, message = refusal(lambda: on.post(widget("a", replicas)))  # noqa: B023 - called here
            assert code == 422
            assert message.endswith("no params found for policy binding with `Deny` parameterNotFoundAction")
        on.clock += PARAMS_WARM_UP
        assert refusal(lambda: on.post(widget("a", 3)))[1].endswith("denied request: at most 2 replicas here")
        assert refusal(lambda: on.post(widget("a", 3)))[0] == 403
        on.post(widget("a", 2))

    play(scene)


def test_a_policy_that_can_not_be_compiled_is_refused() -> None:
    def scene(on: Scene) -> None:
        code, message = refusal(lambda: on.post(policy(validations=[{"expression": "object.spec.replicas"}])))
        assert code == 422
        assert message.startswith('ValidatingAdmissionPolicy.admissionregistration.k8s.io "limit" is invalid: ')
        assert 'spec.validations[0].expression: Invalid value: "object.spec.replicas": must evaluate to bool' in message
        code, message = refusal(lambda: on.post(binding(validationActions=["Deny", "Warn"])))
        assert code == 422
        assert "spec.validationActions: Invalid value" in message

    play(scene)


def test_a_warning_reaches_the_caller() -> None:
    def scene(on: Scene) -> None:
        on.post(policy())
        on.post(binding(validationActions=["Warn"]))
        on.post(widget("a", 3))
        assert on.warnings == [
            "Validation failed for ValidatingAdmissionPolicy 'limit' with binding 'limit': "
            "failed expression: object.spec.replicas <= 2"
        ]

    play(scene)


def test_components_in_the_process_are_asked_about_too() -> None:
    def scene(on: Scene) -> None:
        on.post(policy())
        on.post(binding())
        code, _ = refusal(lambda: on.api.client().create("widgets.example.test", widget("a", 3)))
        assert code == 422

    play(scene)


def test_nobody_writes_a_role_with_more_than_they_hold() -> None:
    def role(name: str, *rules: Object) -> Object:
        return named(f"{RBAC}/v1", "Role", name, rules=list(rules))

    def bind(name: str, user: str) -> Object:
        return named(
            f"{RBAC}/v1",
            "RoleBinding",
            name,
            roleRef={"apiGroup": RBAC, "kind": "Role", "name": name},
            subjects=[{"apiGroup": RBAC, "kind": "User", "name": user}],
        )

    def scene(on: Scene) -> None:
        secrets = role("more", rule("get", "secrets"))
        on.post(role("manager", rule("get", "pods"), rule("*", "roles rolebindings", RBAC, names="none")))
        on.post(bind("manager", "ann"))
        assert refusal(lambda: on.post(secrets, ANN))[0] == 403
        on.post(role("same", rule("get", "pods")), ANN)
        on.post(bind("same", "bob"), ANN)
        assert refusal(lambda: on.patch(f"roles.{RBAC}", "same", {"rules": secrets["rules"]}, ANN))[0] == 403
        on.post(secrets)
        code, message = refusal(lambda: on.post(bind("more", "ann"), ANN))
        assert code == 403
        assert message.endswith('not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}')
        assert refusal(lambda: on.post(bind("gone", "ann"), ANN))[0] == 404

    play(scene)


def test_an_account_is_known_by_the_token_that_the_server_gave_it() -> None:
    def scene(on: Scene) -> None:
        on.post(named("v1", "ServiceAccount", "robot"))
        accounts = on.api.served("serviceaccounts")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        token = on.api.create_subresource(accounts, "one", "robot", "token", body, Call())["status"]["token"]
        user = on.api.authenticator.authenticate(token)
        assert user is not None
        assert user.name == "system:serviceaccount:one:robot"
        review = named("authentication.k8s.io/v1", "TokenReview", "", "", spec={"token": token})
        assert on.post(review)["status"]["user"]["username"] == user.name
        mine = named("authorization.k8s.io/v1", "SelfSubjectAccessReview", "", "")
        mine["spec"] = {"resourceAttributes": {"namespace": "one", "verb": "delete", "resource": "configmaps"}}
        assert on.post(mine, user)["status"] == {"allowed": False}
        on.delete("serviceaccounts", "robot")
        assert on.api.authenticator.authenticate(token) is None

    play(scene)
