"""What is wrong with policies and bindings, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.objects import copy
from adapter_devcluster.policies import check_binding, check_policy, policy_status

pytestmark = pytest.mark.unit

RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*"}
CONSTRAINTS = {
    "resourceRules": [RULE],
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
}
SPEC = {"failurePolicy": "Fail", "matchConstraints": CONSTRAINTS, "validations": [{"expression": "true"}]}
BINDING = {"policyName": "p", "validationActions": ["Deny"]}


def policy(**changed: Any) -> dict[str, Any]:
    spec = {field: value for field, value in {**SPEC, **changed}.items() if value is not None}
    return {"metadata": {"name": "p", "generation": 4}, "spec": copy(spec)}


def found(**changed: Any) -> list[str]:
    return [str(error) for error in check_policy(policy(**changed))]


def found_in_binding(**changed: Any) -> list[str]:
    return [str(error) for error in check_binding({"metadata": {"name": "b"}, "spec": {**BINDING, **changed}})]


def test_a_plain_policy_and_binding_are_fine() -> None:
    assert found() == []
    assert found_in_binding() == []


def test_the_status_says_which_generation_was_looked_at() -> None:
    assert policy_status(policy()) == {"observedGeneration": 4, "typeChecking": {}}


@pytest.mark.parametrize(
    "validation",
    [
        {"expression": "object.spec.replicas <= 3", "messageExpression": "'x' + object.a", "reason": "Forbidden"},
        {"expression": "has(object.x) && request.userInfo.groups.exists(g, g == 'x')"},
        {"expression": "authorizer.group('').resource('pods').check('get').allowed()"},
        {"expression": "namespaceObject.metadata.labels['a'] == request.namespace"},
        {"expression": "true", "message": " two words "},
    ],
)
def test_good_validations_are_accepted(validation: Any) -> None:
    assert found(validations=[validation]) == []


@pytest.mark.parametrize(
    ("validation", "field", "words"),
    [
        ({"expression": " "}, "expression", "Required value: expression is not specified"),
        ({"expression": "object.spec.x"}, "expression", 'Invalid value: "object.spec.x": must evaluate to bool'),
        ({"expression": "'x'"}, "expression", "Invalid value: \"'x'\": must evaluate to bool"),
        (
            {"expression": "object.x =="},
            "expression",
            'Invalid value: "object.x ==": compilation failed: ERROR: <input>:1:12: Syntax error: '
            "mismatched input '<EOF>' expecting an expression\n | object.x ==\n | ...........^",
        ),
        (
            {"expression": "params.x == 1"},
            "expression",
            'Invalid value: "params.x == 1": compilation failed: ERROR: <input>:1:1: '
            "undeclared reference to 'params' (in container '')\n | params.x == 1\n | ^",
        ),
        (
            {"expression": "request.nope == 'x'"},
            "expression",
            "Invalid value: \"request.nope == 'x'\": compilation failed: ERROR: <input>:1:8: "
            "undefined field 'nope'\n | request.nope == 'x'\n | .......^",
        ),
        (
            {"expression": "variables.x == 1"},
            "expression",
            'Invalid value: "variables.x == 1": compilation failed: ERROR: <input>:1:1: '
            "undeclared reference to 'variables' (in container '')\n | variables.x == 1\n | ^",
        ),
        (
            {"expression": "true", "messageExpression": "1"},
            "messageExpression",
            'Invalid value: "1": must evaluate to string',
        ),
        (
            {"expression": "true", "messageExpression": "authorizer.path('/').check('get').reason()"},
            "messageExpression",
            "Invalid value: \"authorizer.path('/').check('get').reason()\": compilation failed: ERROR: <input>:1:1: "
            "undeclared reference to 'authorizer' (in container '')\n"
            " | authorizer.path('/').check('get').reason()\n | ^",
        ),
        (
            {"expression": "true", "messageExpression": " "},
            "messageExpression",
            'Invalid value: " ": must be non-empty if specified',
        ),
        (
            {"expression": "true", "message": " "},
            "message",
            'Invalid value: " ": message must be non-empty if specified',
        ),
        (
            {"expression": "true", "message": "a\nb"},
            "message",
            'Invalid value: "a\\nb": message must not contain line breaks',
        ),
        (
            {"expression": "true", "reason": "Gone"},
            "reason",
            'Unsupported value: "Gone": '
            'supported values: "Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"',
        ),
    ],
)
def test_validations_are_compiled(validation: Any, field: str, words: str) -> None:
    assert found(validations=[{"expression": "true"}, validation]) == [f"spec.validations[1].{field}: {words}"]


def test_with_a_kind_of_parameters_expressions_see_them() -> None:
    kind = {"apiVersion": "example.test/v1", "kind": "Limits"}
    expression = {"expression": "params.x == 1", "messageExpression": "string(params.x)"}
    conditions = [{"name": "c", "expression": "params.x == 1"}]
    assert found(paramKind=kind, validations=[expression], matchConditions=conditions) == []


@pytest.mark.parametrize(
    ("kind", "errors"),
    [
        ({}, ["apiVersion: Required value", "kind: Required value"]),
        (
            {"apiVersion": "a/b/c", "kind": "X"},
            ['apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'],
        ),
        ({"apiVersion": "a/", "kind": "X"}, ['apiVersion: Invalid value: "a/": version must be specified']),
    ],
)
def test_the_kind_of_parameters_has_a_version_and_a_name(kind: Any, errors: list[str]) -> None:
    assert found(paramKind=kind) == [f"spec.paramKind.{error}" for error in errors]


def test_the_parts_of_the_kind_of_parameters_are_names() -> None:
    errors = check_policy(policy(paramKind={"apiVersion": "A_b/V-", "kind": "x_y"}))
    assert [(error.field, error.message.split(": ")[:2]) for error in errors] == [
        ("spec.paramKind.apiVersion", ["Invalid value", '"A_b"']),
        ("spec.paramKind.apiVersion", ["Invalid value", '"V-"']),
        ("spec.paramKind.kind", ["Invalid value", '"x_y"']),
    ]
    assert "may have mixed case, but should otherwise match: a DNS-1035 label" in errors[2].message


def test_a_policy_matches_something_and_validates_something() -> None:
    words = "validations or auditAnnotations must contain at least one item"
    assert found(matchConstraints=None, validations=None, failurePolicy="Maybe") == [
        'spec.failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"',
        "spec.matchConstraints: Required value",
        f"spec.validations: Required value: {words}",
        f"spec.auditAnnotations: Required value: {words}",
    ]
    assert found(matchConstraints={}) == ["spec.matchConstraints.resourceRules: Required value"]


@pytest.mark.parametrize(
    ("conditions", "errors"),
    [
        ([{"name": "a", "expression": "true"}], []),
        ([{"name": "", "expression": " "}], ["[0].expression: Required value", "[0].name: Required value"]),
        (
            [{"name": "a", "expression": "true"}, {"name": "a", "expression": "1"}],
            ['[1].expression: Invalid value: "1": must evaluate to bool', '[1].name: Duplicate value: "a"'],
        ),
        ([{"name": str(at), "expression": "true"} for at in range(65)], [": Too many: 65: must have at most 64 items"]),
    ],
)
def test_match_conditions_have_names_and_are_compiled(conditions: Any, errors: list[str]) -> None:
    assert found(matchConditions=conditions) == [f"spec.matchConditions{error}" for error in errors]


def test_a_match_conditions_name_is_a_qualified_name() -> None:
    errors = check_policy(policy(matchConditions=[{"name": "-", "expression": "true"}]))
    assert [error.field for error in errors] == ["spec.matchConditions[0].name"]
    assert errors[0].message.startswith('Invalid value: "-": name part must consist of')


def test_match_conditions_do_not_see_variables() -> None:
    errors = found(
        variables=[{"name": "x", "expression": "true"}],
        matchConditions=[{"name": "c", "expression": "variables.x"}],
    )
    assert len(errors) == 1
    assert "undeclared reference to 'variables'" in errors[0]


def test_variables_have_the_types_of_their_expressions() -> None:
    variables = [
        {"name": "n", "expression": "1"},
        {"name": "twice", "expression": "variables.n * 2"},
        {"name": "anything", "expression": "object.x"},
        {"name": "list", "expression": "[[request.userInfo]]"},
    ]
    good = [
        {"expression": "variables.twice == 2 && variables.anything.y == 'x'"},
        {"expression": "variables.list[0][0].whatever == 1"},
    ]
    assert found(variables=variables, validations=good) == []
    errors = found(variables=variables, validations=[{"expression": "variables.twice == 'x'"}])
    assert len(errors) == 1
    assert "found no matching overload for '_==_' applied to '(int, string)'" in errors[0]


@pytest.mark.parametrize(
    ("variable", "errors"),
    [
        ({"name": " ", "expression": "1"}, ["name: Required value: name is not specified"]),
        ({"name": "a-b", "expression": "1"}, ['name: Invalid value: "a-b": name is not a valid CEL identifier']),
        ({"name": "in", "expression": "1"}, ['name: Invalid value: "in": name is not a valid CEL identifier']),
        ({"name": "x", "expression": " "}, ["expression: Required value: expression is not specified"]),
    ],
)
def test_variables_have_names_and_expressions(variable: Any, errors: list[str]) -> None:
    assert found(variables=[variable]) == [f"spec.variables[0].{error}" for error in errors]


def test_a_variable_that_is_wrong_is_reported_once() -> None:
    errors = found(variables=[{"name": "x", "expression": "nope"}], validations=[{"expression": "variables.x == 1"}])
    assert [error.partition(": ")[0] for error in errors] == ["spec.variables[0].expression"]


@pytest.mark.parametrize(
    ("annotations", "errors"),
    [
        ([{"key": "k", "valueExpression": "object.a + 'x'"}, {"key": "l", "valueExpression": "null"}], []),
        (
            [{"key": "k", "valueExpression": " "}, {"key": "k", "valueExpression": "1"}],
            [
                "[0].valueExpression: Required value: valueExpression is not specified",
                '[1].valueExpression: Invalid value: "1": must evaluate to one of [string null_type]',
                '[1].key: Duplicate value: "k"',
            ],
        ),
        (
            [{"key": "k", "valueExpression": f"'{'x' * 5121}'"}],
            ["[0].valueExpression: Required value: must not exceed 5120 bytes in length"],
        ),
    ],
)
def test_audit_annotations_are_compiled(annotations: Any, errors: list[str]) -> None:
    assert found(auditAnnotations=annotations, validations=None) == [f"spec.auditAnnotations{one}" for one in errors]


def test_there_are_at_most_twenty_audit_annotations_with_names() -> None:
    annotations = [{"key": f"k{at}" if at else "-", "valueExpression": "'x'"} for at in range(21)]
    fields = [error.field for error in check_policy(policy(auditAnnotations=annotations))]
    assert fields == ["spec.auditAnnotations", "spec.auditAnnotations[0].key"]


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({"operations": []}, ["operations: Required value"]),
        (
            {"operations": ["*", "CREATE"]},
            ['operations: Invalid value: ["*","CREATE"]: if \'*\' is present, must not specify other operations'],
        ),
        (
            {"operations": ["READ"]},
            [
                'operations[0]: Unsupported value: "READ": '
                'supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"'
            ],
        ),
        ({"apiGroups": []}, ["apiGroups: Required value"]),
        (
            {"apiGroups": ["*", ""]},
            ['apiGroups: Invalid value: ["*",""]: if \'*\' is present, must not specify other API groups'],
        ),
        ({"apiVersions": [""]}, ["apiVersions[0]: Required value"]),
        ({"resources": []}, ["resources: Required value"]),
        ({"resources": [""]}, ["resources[0]: Required value"]),
        (
            {"resources": ["*/*", "pods"]},
            ['resources: Invalid value: ["*/*","pods"]: if \'*/*\' is present, must not specify other resources'],
        ),
        (
            {"resources": ["*", "pods"]},
            [
                'resources: Invalid value: ["*","pods"]: '
                "if '*' is present, must not specify other resources without subresources"
            ],
        ),
        ({"resources": ["*", "pods/log"]}, []),
        (
            {"resources": ["pods/*", "pods/log"]},
            ["resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log"],
        ),
        (
            {"resources": ["*/log", "pods/log"]},
            ["resources[1]: Invalid value: \"pods/log\": if '*/log' is present, must not specify pods/log"],
        ),
        ({"scope": "Some"}, ['scope: Unsupported value: "Some": supported values: "*", "Cluster", "Namespaced"']),
        (
            {"resourceNames": ["a/b", "c", "c"]},
            [
                "resourceNames[0]: Invalid value: \"a/b\": may not contain '/'",
                'resourceNames[2]: Duplicate value: "c"',
            ],
        ),
    ],
)
@pytest.mark.parametrize("field", ["resourceRules", "excludeResourceRules"])
def test_rules_are_complete_and_say_nothing_twice(field: str, changed: Any, errors: list[str]) -> None:
    constraints = {**CONSTRAINTS, field: [{**RULE, **changed}]}
    assert found(matchConstraints=constraints) == [f"spec.matchConstraints.{field}[0].{error}" for error in errors]


def test_selectors_and_the_match_policy_are_checked() -> None:
    selector = {"matchExpressions": [{"key": "a", "operator": "In"}]}
    constraints = {**CONSTRAINTS, "matchPolicy": "Some", "namespaceSelector": selector, "objectSelector": selector}
    words = "matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
    assert found(matchConstraints=constraints) == [
        'spec.matchConstraints.matchPolicy: Unsupported value: "Some": supported values: "Equivalent", "Exact"',
        f"spec.matchConstraints.namespaceSelector.{words}",
        f"spec.matchConstraints.objectSelector.{words}",
    ]


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({"policyName": ""}, ["policyName: Required value"]),
        ({"validationActions": []}, ["validationActions: Required value: at least one validation action is required"]),
        (
            {"validationActions": ["Deny", "Warn"]},
            [
                'validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn (repeating the '
                "same validation failure information in the API response and headers serves no purpose)"
            ],
        ),
        (
            {"validationActions": ["Audit", "Audit", "Pray"]},
            [
                'validationActions[1]: Duplicate value: "Audit"',
                'validationActions[2]: Unsupported value: "Pray": supported values: "Audit", "Deny", "Warn"',
            ],
        ),
        ({"validationActions": ["Warn", "Audit"]}, []),
        ({"matchResources": {"resourceRules": [RULE]}}, []),
        (
            {"matchResources": {"resourceRules": [{**RULE, "operations": []}]}},
            ["matchResouces.resourceRules[0].operations: Required value"],
        ),
        ({"paramRef": {"name": "x", "parameterNotFoundAction": "Deny"}}, []),
        ({"paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}}, []),
        (
            {"paramRef": {}},
            [
                "paramRef: Required value: one of name or selector must be specified",
                "paramRef.parameterNotFoundAction: Required value",
            ],
        ),
        (
            {"paramRef": {"name": "a/b", "selector": {}, "parameterNotFoundAction": "Panic"}},
            [
                "paramRef.name: Invalid value: \"a/b\": may not contain '/'",
                "paramRef.name: Forbidden: name and selector are mutually exclusive",
                "paramRef.selector: Forbidden: name and selector are mutually exclusive",
                'paramRef.parameterNotFoundAction: Unsupported value: "Panic": supported values: "Deny", "Allow"',
            ],
        ),
    ],
)
def test_bindings_are_checked(changed: Any, errors: list[str]) -> None:
    assert found_in_binding(**changed) == [f"spec.{error}" for error in errors]


def test_a_binding_names_its_policy_as_policies_are_named() -> None:
    errors = check_binding({"metadata": {"name": "b"}, "spec": {**BINDING, "policyName": "A_"}})
    assert [(error.field, error.message[:20]) for error in errors] == [("spec.policyName", 'Invalid value: "A_":')]
