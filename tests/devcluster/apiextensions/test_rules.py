"""``x-kubernetes-validations``: when rules run, what they see, what their failures say."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.apiextensions import Reason
from adapter_devcluster.apiextensions.correlation import Correlation
from adapter_devcluster.apiextensions.rule_paths import FieldPathError, field_path
from adapter_devcluster.apiextensions.rules import check_rules, rule_tree
from adapter_devcluster.apiextensions.tree import read_schema

pytestmark = pytest.mark.unit

TEXT, INT = {"type": "string"}, {"type": "integer"}
RULES = "x-kubernetes-validations"
KEYED = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


def rule(text: str, **rest: Any) -> dict[str, Any]:
    return {"rule": text, **rest}


def obj(*rules: dict[str, Any], **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, RULES: list(rules)} if rules else schema


def broken(schema: dict[str, Any], value: Any, old: Any = None, *, is_root: bool = False) -> list[str]:
    tree = rule_tree(read_schema(schema), is_root=is_root)
    return [] if tree is None else [str(one.error) for one in check_rules(tree, value, old)]


def test_messages() -> None:
    schema = obj(
        rule("self.a == 'x'"),
        rule("self.a == 'x'", message=" must be x "),
        rule("self.a == 'x'", messageExpression="'is ' + self.a"),
        rule("self.a == 'x'", message="fallback", messageExpression="self.gone"),
        rule("self.a == 'x'", message="fallback", messageExpression="'two\\nlines'"),
        rule("self.a == 'x'", message="fallback", messageExpression="' '"),
        rule("self.a == 'x'", message="fallback", messageExpression="self.long + self.long"),
        a=TEXT,
        gone=TEXT,
        long=TEXT,
    )
    assert broken(schema, {"a": "y", "long": "z" * 4096}) == [
        "<nil>: Invalid value: failed rule: self.a == 'x'",
        "<nil>: Invalid value: must be x",
        "<nil>: Invalid value: is y",
        *["<nil>: Invalid value: fallback"] * 4,
    ]
    assert broken(schema, {"a": "x"}) == []


def test_scalars_show_their_value() -> None:
    schema = obj(s={**TEXT, RULES: [rule("self == 'x'")]}, n={**INT, RULES: [rule("self == 1")]})
    assert broken(schema, {"s": "a", "n": 2}) == [
        "s: Invalid value: \"a\": failed rule: self == 'x'",
        "n: Invalid value: 2: failed rule: self == 1",
    ]


def test_reasons_and_field_paths() -> None:
    inner = obj(a=TEXT, m={"type": "object", "additionalProperties": INT})
    schema = obj(
        rule("false", message="m1", reason="FieldValueForbidden", fieldPath=".o.a"),
        rule("false", message="m2", reason="FieldValueRequired", fieldPath=".o.m['k.l']"),
        rule("false", message="m3", reason="FieldValueDuplicate"),
        rule("false", message="m4", reason="FieldValueInvalid", fieldPath="['o'].a"),
        o=inner,
    )
    tree = rule_tree(read_schema(obj(spec=schema)))
    assert tree is not None
    errors = [one.error for one in check_rules(tree, {"spec": {"o": {}}}, None)]
    assert [(e.field, e.reason, e.message) for e in errors] == [
        ("spec.o.a", Reason.FORBIDDEN, "Forbidden: m1"),
        ("spec.o.m[k.l]", Reason.REQUIRED, "Required value: m2"),
        ("spec", Reason.DUPLICATE, "Duplicate value"),
        ("spec.o.a", Reason.INVALID, "Invalid value: m4"),
    ]


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (".a", "a"),
        (".a.b.c", "a.b.c"),
        ("['a']['b'].c", "a.b.c"),
        (".m.key.x", "m[key].x"),
        (".m['a.b\\'c'].x", "m[a.b'c].x"),
        (".white space", "white space"),
    ],
)
def test_field_paths(path: str, written: str) -> None:
    schema = {
        "a": obj(b=obj(c=TEXT)),
        "m": {"type": "object", "additionalProperties": obj(x=TEXT)},
        "white space": TEXT,
    }
    assert field_path(path, read_schema(obj(**schema)))[0] == written


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a", "expected [ or . but got: a"),
        (".a.", "expected [ or . but got: ."),
        (".a[0]", "expected [ or . but got: [0]"),
        (".a['b'", "expected [ or ."),
        (".z", "does not refer to a valid field"),
        (".a.b", "does not refer to a valid field"),
        ("", "does not refer to a valid field"),
        ("['\\q']", "invalid string literal: invalid escape char \\q"),
    ],
)
def test_field_paths_that_lead_nowhere(path: str, message: str) -> None:
    with pytest.raises(FieldPathError) as refused:
        field_path(path, read_schema(obj(a=TEXT)))
    assert message in str(refused.value)
    with pytest.raises(FieldPathError, match="array notation is not allowed"):
        field_path("['a']", read_schema(obj(a=TEXT)), keys=False)


def test_errors_of_running_rules() -> None:
    schema = obj(
        rule("self.a == 'x'"), rule("self.n / 0 == 1", message="never zero"), rule("self.p < 5"), a=TEXT, n=INT
    )
    schema["properties"]["p"] = {"x-kubernetes-int-or-string": True}
    assert broken(schema, {"n": 1, "p": "5%"}) == [
        "<nil>: Invalid value: \"object\": no such key: a evaluating rule: self.a == 'x'",
        '<nil>: Invalid value: "object": division by zero evaluating rule: never zero',
        "<nil>: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, "
        "function or macro signature for rule: self.p < 5",
    ]


def test_rules_that_do_not_compile_are_errors() -> None:
    (error,) = broken(obj(rule("self.nope == 1"), a=TEXT), {"a": "x"})
    assert error.startswith(
        '<nil>: Invalid value: "object": rule compile error: compilation failed: ERROR: <input>:1:5'
    )
    assert broken(obj(rule(" "), a=TEXT), {"a": "x"}) == []


def test_rules_run_where_values_are() -> None:
    schema = obj(
        o=obj(rule("false", message="o"), a=TEXT),
        n={**obj(rule("false", message="n")), "nullable": True},
        l={"type": "array", "items": {**TEXT, RULES: [rule("self != 'b'", message="l")]}},
        m={"type": "object", "additionalProperties": {**TEXT, RULES: [rule("self != 'b'", message="m")]}},
        **{"odd name": {**TEXT, RULES: [rule("false", message="odd")]}},
    )
    assert broken(schema, {}) == []
    assert broken(schema, {"n": None}) == []
    assert broken(schema, {"o": {}, "l": ["a", "b"], "m": {"x.y": "b", "z": "a"}, "odd name": "v"}) == [
        "o: Invalid value: o",
        'l[1]: Invalid value: "b": l',
        'm[x.y]: Invalid value: "b": m',
        'odd name: Invalid value: "v": odd',
    ]


def test_the_root_sees_names_and_types() -> None:
    schema = obj(
        rule("self.metadata.name == 'me' && self.kind == 'K' && self.apiVersion == 'x.dev/v1'"),
        rule("!has(self.metadata.generateName)"),
        spec=obj(a=TEXT),
    )
    value = {"apiVersion": "x.dev/v1", "kind": "K", "metadata": {"name": "me", "uid": "u"}, "spec": {}}
    assert broken(schema, value, is_root=True) == []
    assert "undefined field 'metadata'" in broken(schema, value)[0]


def test_embedded_resources_see_names_and_types() -> None:
    pod = obj(rule("self.metadata.name == 'p' && self.spec.x == 1"), spec=obj(x=INT))
    schema = obj(pod={**pod, "x-kubernetes-embedded-resource": True})
    value = {"pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"x": 1}}}
    assert broken(schema, value) == []


SAME = rule("self == oldSelf", message="changed")


@pytest.mark.parametrize(
    ("schema", "old", "new", "expected"),
    [
        (obj(a={**TEXT, RULES: [SAME]}), {"a": "x"}, {"a": "y"}, ['a: Invalid value: "y": changed']),
        (obj(a={**TEXT, RULES: [SAME]}), {"a": "x"}, {"a": "x"}, []),
        (obj(a={**TEXT, RULES: [SAME]}), {}, {"a": "y"}, []),
        (obj(a={**TEXT, RULES: [SAME]}), {"a": "x"}, {}, []),
        (
            obj(m={"type": "object", "additionalProperties": {**INT, RULES: [SAME]}}),
            {"m": {"a": 1, "b": 1}},
            {"m": {"a": 2, "b": 1, "c": 3}},
            ["m[a]: Invalid value: 2: changed"],
        ),
        (
            obj(l={**KEYED, "items": obj(SAME, name=TEXT, n=INT)}),
            {"l": [{"name": "a", "n": 1}, {"name": "b", "n": 1}]},
            {"l": [{"name": "b", "n": 1}, {"name": "a", "n": 2}, {"name": "c"}]},
            ["l[1]: Invalid value: changed"],
        ),
        # Items of other lists have no old value, whatever their position.
        (obj(l={"type": "array", "items": {**TEXT, RULES: [SAME]}}), {"l": ["a"]}, {"l": ["b"]}, []),
        (
            obj(l={"type": "array", "x-kubernetes-list-type": "set", "items": {**TEXT, RULES: [SAME]}}),
            {"l": ["a"]},
            {"l": ["b"]},
            [],
        ),
        # The list as a whole has one.
        (
            obj(l={"type": "array", "items": TEXT, RULES: [SAME]}),
            {"l": ["a"]},
            {"l": ["b"]},
            ["l: Invalid value: changed"],
        ),
        (
            obj(l={"type": "array", "x-kubernetes-list-type": "set", "items": TEXT, RULES: [SAME]}),
            {"l": ["a", "b"]},
            {"l": ["b", "a"]},
            [],
        ),
        (
            obj(rule("has(self.a) == has(oldSelf.a)", message="added"), a=TEXT),
            {},
            {"a": "x"},
            ["<nil>: Invalid value: added"],
        ),
    ],
)
def test_transition_rules(schema: dict[str, Any], old: Any, new: Any, expected: list[str]) -> None:
    assert broken(schema, new, old) == expected
    assert broken(schema, new) == []


def test_optional_old_self() -> None:
    optional = rule(
        "oldSelf.hasValue() ? self >= oldSelf.value() : self == 0",
        optionalOldSelf=True,
        messageExpression="'was ' + (oldSelf.hasValue() ? string(oldSelf.value()) : 'absent')",
    )
    schema = obj(n={**INT, RULES: [optional]})
    assert broken(schema, {"n": 0}) == []
    assert broken(schema, {"n": 3}) == ["n: Invalid value: 3: was absent"]
    assert broken(schema, {"n": 3}, {"n": 2}) == []
    assert broken(schema, {"n": 3}, {"n": 5}) == ["n: Invalid value: 3: was 5"]
    assert broken(schema, {"n": 3}, {}) == ["n: Invalid value: 3: was absent"]


def ratchet(schema: dict[str, Any], old: Any, new: Any) -> tuple[list[str], list[str]]:
    """Errors and warnings of an update."""
    node = read_schema(schema)
    tree = rule_tree(node)
    assert tree is not None
    found = list(check_rules(tree, new, old, None, Correlation(new, old, node)))
    errors = [one.error.field for one in found if not one.ratcheted]
    return errors, [one.error.field for one in found if one.ratcheted]


def test_rules_of_unchanged_values_are_let_through() -> None:
    bad = rule("false", message="bad")
    leaf = obj(bad, a=TEXT)
    schema = obj(
        o=leaf,
        p=obj(bad, a=TEXT, b=TEXT),
        l={**KEYED, "items": obj(bad, name=TEXT, n=INT)},
        plain={"type": "array", "items": leaf},
        m={"type": "object", "additionalProperties": leaf},
        kind={**TEXT, RULES: [bad]},
    )
    old = {
        "o": {"a": "1"},
        "p": {"a": "1"},
        "l": [{"name": "x", "n": 1}, {"name": "y", "n": 1}],
        "plain": [{"a": "1"}],
        "m": {"k": {"a": "1"}, "l": {"a": "1"}},
        "kind": "K",
    }
    new = {
        "o": {"a": "1"},
        "p": {"a": "1", "b": "2"},
        "l": [{"name": "y", "n": 1}, {"name": "x", "n": 2}, {"name": "z"}],
        "plain": [{"a": "1"}],
        "m": {"k": {"a": "1"}, "l": {"a": "2"}},
        "kind": "K",
    }
    errors, warnings = ratchet(schema, old, new)
    # An unchanged plain list ratchets its items; the type of an object is never compared.
    assert errors == ["p", "l[1]", "l[2]", "m[l]", "kind"]
    assert warnings == ["o", "l[0]", "plain[0]", "m[k]"]
    longer = {**new, "plain": [{"a": "1"}, {"a": "2"}]}
    assert ratchet(schema, old, longer)[0] == ["p", "l[1]", "l[2]", "plain[0]", "plain[1]", "m[l]", "kind"]


def test_transition_rules_are_never_let_through() -> None:
    schema = obj(a={**TEXT, RULES: [rule("self != oldSelf")]})
    assert ratchet(schema, {"a": "x"}, {"a": "x"}) == (["a"], [])


def test_a_failing_rule_is_not_let_through() -> None:
    schema = obj(o=obj(rule("self.gone == ''"), gone=TEXT))
    assert ratchet(schema, {"o": {}}, {"o": {}}) == (["o"], [])


def test_correlation() -> None:
    node = read_schema(
        obj(l={**KEYED, "items": obj(name=TEXT, n=INT)}, p={"type": "array", "items": TEXT}, f={"type": "object"})
    )
    old = {"l": [{"name": "a", "n": 1}, {"name": "b"}], "p": ["x"], "f": {"u": 1}}
    reordered = {"l": [{"name": "b"}, {"name": "a", "n": 1}], "p": ["x"], "f": {"u": 1}}
    place = Correlation(reordered, old, node)
    listed = place.field("l")
    assert listed is not None
    assert listed.unchanged
    assert listed.item(1) is not None
    assert place.field("p") is not None
    assert place.field("p").unchanged  # type: ignore[union-attr]
    assert place.field("p").item(0) is None  # type: ignore[union-attr]
    assert place.field("nope") is None
    # A field that the schema does not know can't be told, and so counts as changed.
    assert place.field("f") is not None
    assert not place.field("f").unchanged  # type: ignore[union-attr]
    assert not Correlation({"l": [{"name": "b"}, {"name": "c"}]}, {"l": old["l"]}, node).unchanged
    assert not Correlation({"l": [{}, {}]}, {"l": [{}, {}]}, node).unchanged
    assert not Correlation({"l": []}, {"l": [{}]}, node).unchanged
    assert Correlation(None, None, node).unchanged
    assert Correlation([1], [1], node).item(0) is None
    assert Correlation(1, 1, node).field("a") is None
