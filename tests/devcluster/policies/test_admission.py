"""What policies say of requests: validations, conditions, variables, messages, actions, parameters."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.access.users import User
from adapter_devcluster.policies import PARAMS_WARM_UP
from adapter_devcluster.statuses import StatusError
from adapter_testing.access_lab import rule, to_account, to_user

pytestmark = pytest.mark.unit

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}
LIMITS = {"name": "limits", "namespace": "one", "parameterNotFoundAction": "Deny"}
NOT_FOUND = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"


def widget(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "example.test/v1",
        "kind": "Widget",
        "metadata": {"name": "w"},
        "spec": {"replicas": 3, **spec},
    }


def error(lab: Any, **request: Any) -> StatusError:
    with pytest.raises(StatusError) as caught:
        lab.check(**request)
    return caught.value


@pytest.mark.parametrize(
    ("reason", "code"),
    [(None, 422), ("Invalid", 422), ("Forbidden", 403), ("Unauthorized", 401), ("RequestEntityTooLarge", 413)],
)
def test_a_denial_is_a_status_with_the_policys_reason(lab: Any, reason: str | None, code: int) -> None:
    validation = {
        "expression": "object.spec.replicas <= 2",
        "message": " too many ",
        **({"reason": reason} if reason else {}),
    }
    lab.policy(validations=[validation])
    lab.check(widget(replicas=2))
    message = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: too many"
    assert error(lab).status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'widgets.example.test "w" is forbidden: {message}',
        "reason": reason or "Invalid",
        "details": {"name": "w", "group": "example.test", "kind": "widgets", "causes": [{"message": message}]},
        "code": code,
    }


def test_core_resources_and_objects_without_a_name_are_named_as_such(lab: Any) -> None:
    lab.policy("false", rules=[{**rule("*", "pods"), "apiVersions": ["*"], "operations": ["*"]}])
    found = error(lab, group="", resource="pods", kind="Pod", name="")
    assert str(found).startswith('pods "Unknown" is forbidden: ')


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"expression": " false "}, "failed expression: false"),
        ({"expression": "false", "message": "no"}, "no"),
        (
            {"expression": "false", "message": "no", "messageExpression": "'got ' + string(object.spec.replicas)"},
            "got 3",
        ),
        ({"expression": "false", "message": "no", "messageExpression": "object.absent"}, "no"),
        ({"expression": "false", "message": "no", "messageExpression": "'  '"}, "no"),
        ({"expression": "false", "message": "no", "messageExpression": "'a\\nb'"}, "no"),
        ({"expression": "false", "messageExpression": f"'{'x' * 5121}'"}, "failed expression: false"),
        ({"expression": "false", "messageExpression": "request.userInfo.username + '!'"}, "ann!"),
        (
            {"expression": "object.absent == 1", "message": "no"},
            "expression 'object.absent == 1' resulted in error: no such key: absent",
        ),
    ],
)
def test_the_message_says_most_of_what_is_known(lab: Any, validation: dict[str, str], message: str) -> None:
    lab.policy(validations=[validation])
    assert lab.refusal() == message


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.replicas == 3 && oldObject == null",
        "request.operation == 'CREATE' && request.name == 'w' && request.namespace == 'one' && !request.dryRun",
        "request.kind.kind == 'Widget' && request.resource.resource == 'widgets' && !has(request.subResource)",
        "request.userInfo.username == 'ann' && 'staff' in request.userInfo.groups && !has(request.userInfo.extra)",
        "request.options.kind == 'CreateOptions'",
        "namespaceObject.metadata.name == 'one' && namespaceObject.metadata.labels['team'] == 'red'",
        "!has(object.metadata.labels) && object.metadata.?labels[?'a'].orValue('b') == 'b'",
    ],
)
def test_expressions_see_the_request(lab: Any, expression: str) -> None:
    lab.policy(expression)
    assert lab.refusal(widget()) == ""


@pytest.mark.parametrize(
    ("request_", "expression"),
    [
        (
            {"operation": "DELETE", "object": None, "old_object": widget()},
            "object == null && oldObject.spec.replicas == 3",
        ),
        (
            {"operation": "UPDATE", "obj": widget(replicas=4), "old_object": widget()},
            "object.spec.replicas > oldObject.spec.replicas",
        ),
        ({"dry_run": True}, "request.dryRun && request.options.dryRun == ['All']"),
        ({"subresource": "status"}, "request.subResource == 'status' && request.requestSubResource == 'status'"),
        ({"namespace": ""}, "namespaceObject == null && !has(request.namespace)"),
        ({"operation": "CONNECT", "object": None}, "object == null && !has(request.options)"),
        (
            {"user": User("x", (), "7", {"k": ("v",)})},
            "request.userInfo.uid == '7' && request.userInfo.extra['k'] == ['v']",
        ),
    ],
)
def test_expressions_see_what_kind_of_request_it_is(lab: Any, request_: dict[str, Any], expression: str) -> None:
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    lab.policy(expression, rules=[everything])
    assert lab.refusal(**request_) == ""
    lab.policy(f"!({expression})", rules=[everything])
    assert lab.refusal(**request_).startswith("failed expression")


def test_a_namespace_is_its_own_namespace_but_has_no_namespace_object(lab: Any) -> None:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["namespaces"]}]
    lab.policy("request.namespace == 'new' && namespaceObject == null", rules=rules)
    lab.check({}, group="", resource="namespaces", kind="Namespace", namespace="", name="new")


def test_a_null_object_has_no_fields(lab: Any) -> None:
    lab.policy("object.spec.replicas > 0")
    found = lab.refusal(operation="DELETE", object=None)
    assert found == "expression 'object.spec.replicas > 0' resulted in error: no such key: spec"


@pytest.mark.parametrize(
    ("policy", "refused"), [({}, True), ({"failurePolicy": "Fail"}, True), ({"failurePolicy": "Ignore"}, False)]
)
def test_errors_count_as_the_failure_policy_says(lab: Any, policy: dict[str, str], refused: bool) -> None:
    lab.policy("object.absent", "object.absent == 1", **policy)
    assert bool(lab.refusal()) is refused
    lab.policy("object.absent == 1", "false", **policy)
    assert lab.refusal().endswith("no such key: absent" if refused else "failed expression: false")


def test_an_expression_that_can_not_be_compiled_is_an_error(lab: Any) -> None:
    lab.policy("request.nope == 'x'")
    assert lab.refusal().startswith("compilation error: compilation failed: ERROR: <input>:1:8: undefined field 'nope'")


def conditions(*expressions: str) -> list[dict[str, str]]:
    return [{"name": f"c{at}", "expression": expression} for at, expression in enumerate(expressions)]


@pytest.mark.parametrize(
    ("expressions", "failure", "refusal"),
    [
        (["true", "object.spec.replicas == 3"], "Fail", "failed expression: false"),
        (["true", "object.spec.replicas == 4"], "Fail", ""),
        (["object.absent == 1"], "Fail", "expression 'object.absent == 1' resulted in error: no such key: absent"),
        (["object.absent == 1", "false"], "Fail", ""),
        (["object.absent == 1"], "Ignore", ""),
        (["namespaceObject == null"], "Fail", "failed expression: false"),
        (
            ["object.a", "object.b", "object.b == 1", "object.c == 1"],
            "Fail",
            "[compilation error: must evaluate to bool, "
            "expression 'object.b == 1' resulted in error: no such key: b, "
            "expression 'object.c == 1' resulted in error: no such key: c]",
        ),
    ],
)
def test_match_conditions_decide_whether_a_policy_applies(
    lab: Any, expressions: list[str], failure: str, refusal: str
) -> None:
    lab.policy("false", matchConditions=conditions(*expressions), failurePolicy=failure)
    assert lab.refusal() == refusal


def variables(**expressions: str) -> list[dict[str, str]]:
    return [{"name": name, "expression": expression} for name, expression in expressions.items()]


def test_variables_build_on_each_other(lab: Any) -> None:
    found = variables(n="object.spec.replicas", more="variables.n + 1", names="['a', 'b']", who="request.userInfo")
    lab.policy(
        "variables.more == 4 && variables.names.exists(x, x == 'b') && variables.who.username == 'ann'",
        variables=found,
        matchConditions=conditions("variables.n == 3"),
    )
    assert lab.refusal() == ""


def test_a_variable_that_nobody_asks_for_is_not_evaluated(lab: Any) -> None:
    lab.policy("true || variables.bad == 1", variables=variables(bad="object.absent"))
    assert lab.refusal() == ""
    lab.policy("variables.bad == 1", "variables.bad == 2", variables=variables(bad="object.absent"))
    assert lab.refusal() == (
        "expression 'variables.bad == 1' resulted in error: "
        'composited variable "bad" fails to evaluate: no such key: absent'
    )
    lab.policy("variables.bad == 1", variables=variables(bad="nope"))
    assert 'composited variable "bad" fails to compile: compilation failed: ERROR' in lab.refusal()


def test_a_variable_sees_the_namespace_although_conditions_do_not(lab: Any) -> None:
    lab.policy(
        "variables.name == 'one'",
        variables=variables(name="namespaceObject == null ? '' : namespaceObject.metadata.name"),
        matchConditions=conditions("variables.name == ''"),
    )
    assert lab.refusal() == ""


def test_an_authorizer_can_be_asked(lab: Any, robot: User) -> None:
    lab.role(
        "r",
        [
            rule("approve", "widgets", "example.test"),
            rule("get", "pods/log", names="a"),
            {"nonResourceURLs": ["/x"], "verbs": ["get"]},
        ],
    )
    lab.bind("b", "r", to_user("ann"), namespace="")
    lab.bind("c", "r", to_account("robot", "one"), namespace="two")
    pods = "authorizer.group('').resource('pods').subresource('log').namespace('{}').name('{}').check('get').allowed()"
    holds = [
        "authorizer.requestResource.check('approve').allowed() && !authorizer.requestResource.check('get').allowed()",
        f"{pods.format('one', 'a')} && !{pods.format('one', 'b')}",
        "authorizer.path('/x').check('get').allowed() && !authorizer.path('/y').check('get').allowed()",
        "authorizer.serviceAccount('one', 'robot').group('').resource('pods').subresource('log').namespace('two')"
        ".name('a').check('get').allowed()",
        "authorizer.requestResource.check('approve').reason().contains('ClusterRoleBinding')",
        "!authorizer.path('/x').check('get').errored() && authorizer.path('/x').check('get').error() == ''",
    ]
    lab.policy(*holds)
    assert lab.refusal() == ""
    assert lab.refusal(user=robot).startswith("failed expression: authorizer.requestResource")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("authorizer.path('').check('get').allowed()", "path must not be empty"),
        ("authorizer.path('x').check('get').allowed()", "path must start with '/'"),
        ("authorizer.path(object.spec.replicas).check('get').allowed()", "no such overload"),
        ("object.spec.check('get').allowed()", "no such overload"),
    ],
)
def test_an_authorizer_is_asked_properly(lab: Any, expression: str, words: str) -> None:
    lab.policy(expression)
    assert lab.refusal() == f"expression '{expression}' resulted in error: {words}"


def test_a_warning_lets_the_request_through(lab: Any) -> None:
    lab.policy("false", "object.absent == 1", bound=False)
    lab.binding(validationActions=["Warn", "Audit"])
    before = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': "
    assert lab.check() == [
        f"{before}failed expression: false",
        f"{before}expression 'object.absent == 1' resulted in error: no such key: absent",
    ]
    lab.binding(validationActions=["Audit"])
    assert lab.check() == []


def test_the_first_denial_counts(lab: Any) -> None:
    lab.policy("false", name="b")
    lab.policy("true", "1 == 2", name="a")
    assert "'a' with binding 'a' denied request: failed expression: 1 == 2" in str(error(lab))


def test_failing_audit_annotations_deny_whatever_the_actions_are(lab: Any) -> None:
    annotations = [{"key": "k", "valueExpression": "'fine'"}, {"key": "l", "valueExpression": "string(object.absent)"}]
    lab.policy(auditAnnotations=annotations, bound=False)
    lab.binding(validationActions=["Warn"])
    assert lab.refusal() == "expression 'string(object.absent)' resulted in error: no such key: absent"
    lab.policy(auditAnnotations=annotations, bound=False, failurePolicy="Ignore")
    assert lab.check() == []


# --- parameters ------------------------------------------------------------------------------------


def limited(lab: Any, kind: Any = CONFIG_MAP, reference: Any = LIMITS, **spec: Any) -> None:
    """Store the policy that parameters are mostly used for, and let it be seen."""
    lab.policy(
        validations=[
            {
                "expression": "object.spec.replicas <= int(params.data.maxReplicas)",
                "messageExpression": "'at most ' + params.data.maxReplicas",
                "reason": "Forbidden",
            }
        ],
        paramKind=kind,
        bound=False,
        **spec,
    )
    lab.binding(**({"paramRef": reference} if reference else {}))


def warm(lab: Any) -> None:
    lab.refusal()
    lab.clock += PARAMS_WARM_UP


def test_parameters_of_built_in_kinds_are_found_after_a_while(lab: Any) -> None:
    lab.put("configmaps", "limits", "one", data={"maxReplicas": "2"})
    limited(lab)
    found = error(lab)
    assert (found.code, found.reason) == (422, "Invalid")
    assert lab.refusal() == lab.refusal(widget(replicas=2)) == NOT_FOUND
    lab.clock += 0.999
    assert lab.refusal() == NOT_FOUND
    lab.clock += 0.001
    found = error(lab)
    assert (found.code, found.reason) == (403, "Forbidden")
    assert lab.refusal() == "at most 2"
    assert lab.refusal(widget(replicas=2)) == ""


def test_a_policy_that_changes_stays_warm_and_one_that_is_made_again_does_not(lab: Any) -> None:
    lab.put("configmaps", "limits", "one", data={"maxReplicas": "5"})
    limited(lab)
    warm(lab)
    limited(lab, failurePolicy="Fail")
    assert lab.refusal() == ""
    lab.remove("validatingadmissionpolicies.admissionregistration.k8s.io", "p")
    assert lab.refusal() == ""
    limited(lab)
    assert lab.refusal() == NOT_FOUND


def test_parameters_that_are_custom_resources_are_found_at_once(lab: Any) -> None:
    lab.serve("example.test", "v1", "Limit")
    lab.put("customresourcedefinitions.apiextensions.k8s.io", "limits.example.test")
    lab.put("limits.example.test", "limits", "one", data={"maxReplicas": "2"})
    limited(lab, {"apiVersion": "example.test/v1", "kind": "Limit"})
    assert lab.refusal() == "at most 2"


@pytest.mark.parametrize(("action", "refusal"), [("Deny", NOT_FOUND), ("Allow", "")])
def test_missing_parameters_deny_or_skip(lab: Any, action: str, refusal: str) -> None:
    limited(lab, reference={**LIMITS, "parameterNotFoundAction": action})
    warm(lab)
    assert lab.refusal() == refusal


def test_missing_parameters_are_ignored_where_failures_are(lab: Any) -> None:
    limited(lab, failurePolicy="Ignore")
    warm(lab)
    assert lab.refusal() == ""


def test_parameters_come_from_the_namespace_of_the_request(lab: Any) -> None:
    lab.put("namespaces", "two")
    lab.put("configmaps", "limits", "two", data={"maxReplicas": "2"})
    limited(lab, reference={"name": "limits", "parameterNotFoundAction": "Allow"})
    warm(lab)
    assert lab.refusal() == ""
    assert lab.refusal(namespace="two") == "at most 2"
    assert lab.refusal(namespace="") == (
        "failed to configure binding: cannot use namespaced paramRef in policy binding "
        "that matches cluster-scoped resources"
    )


def test_every_selected_parameter_is_asked(lab: Any) -> None:
    limited(lab, reference={"selector": {"matchLabels": {"for": "widgets"}}, "parameterNotFoundAction": "Deny"})
    warm(lab)
    assert lab.refusal() == NOT_FOUND
    lab.put("configmaps", "a", "one", labels={"for": "widgets"}, data={"maxReplicas": "9"})
    lab.put("configmaps", "b", "one", labels={"for": "widgets"}, data={"maxReplicas": "1"})
    lab.put("configmaps", "c", "one", data={"maxReplicas": "0"})
    assert lab.refusal() == "at most 1"


def test_an_empty_selector_takes_all(lab: Any) -> None:
    lab.put("configmaps", "c", "one", data={"maxReplicas": "0"})
    limited(lab, reference={"selector": {}, "parameterNotFoundAction": "Allow"})
    warm(lab)
    assert lab.refusal() == "at most 0"


def test_without_a_reference_parameters_are_null(lab: Any) -> None:
    lab.policy("params == null", paramKind=CONFIG_MAP)
    assert lab.refusal() == ""


def test_a_reference_without_a_kind_is_ignored(lab: Any) -> None:
    lab.policy("object.spec.replicas == 3", bound=False)
    lab.binding(paramRef=LIMITS)
    assert lab.refusal() == ""


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ({"apiVersion": "example.test/v1", "kind": "Gone"}, "example.test/v1, Kind=Gone"),
        ({"apiVersion": "v1", "kind": "Gone"}, "/v1, Kind=Gone"),
    ],
)
def test_a_kind_of_parameters_that_is_not_served_is_the_policys_fault(lab: Any, kind: Any, shown: str) -> None:
    limited(lab, kind)
    words = f"failed to configure policy: failed to find resource referenced by paramKind: '{shown}'"
    assert str(error(lab)).endswith(f"ValidatingAdmissionPolicy 'p' denied request: {words}")
    limited(lab, kind, failurePolicy="Ignore")
    assert lab.refusal() == ""


def test_cluster_wide_parameters_have_no_namespace(lab: Any) -> None:
    lab.serve("example.test", "v1", "Limit", namespaced=False)
    lab.put("customresourcedefinitions.apiextensions.k8s.io", "limits.example.test")
    lab.put("limits.example.test", "limits", data={"maxReplicas": "2"})
    kind = {"apiVersion": "example.test/v1", "kind": "Limit"}
    limited(lab, kind, {"name": "limits", "parameterNotFoundAction": "Deny"})
    assert lab.refusal() == "at most 2"
    limited(lab, kind)
    assert lab.refusal() == (
        "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
    )
