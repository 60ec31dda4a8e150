"""What a policy's expressions see, and compiling them.

``object``, ``oldObject`` and ``params`` are of no known type; ``request``, ``namespaceObject`` and ``variables``
have the fields they have. Sources: ``k8s.io/apiserver/pkg/admission/plugin/cel/{compile,composition}.go`` (v0.36).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from adapter_devcluster.apiextensions import cel_types as t
from adapter_devcluster.apiextensions.cel_check import CelCompileError, Checked, compile_expression
from adapter_devcluster.apiextensions.cel_decls import Decl
from adapter_devcluster.apiextensions.cel_eval import Program
from adapter_devcluster.apiextensions.cel_values import CelError, Value
from adapter_devcluster.policies.authorizer_library import (
    AUTHORIZER,
    AUTHORIZER_FUNCTIONS,
    AUTHORIZER_IMPLEMENTATIONS,
    RESOURCE_CHECK,
)

_TEXT: Final = Decl(t.STRING, 2)
_TEXTS: Final = Decl(t.list_of(t.STRING), 2)
_STRINGS: Final = Decl(t.map_of(t.STRING, t.STRING), 2)
_TIME: Final = Decl(t.TIMESTAMP, 2)
_INT: Final = Decl(t.INT, 1)


def _object(name: str, fields: Mapping[str, Decl]) -> Decl:
    return Decl(t.Type("object", name=f"kubernetes.{name}"), 2, fields=fields)


def _texts(*names: str) -> dict[str, Decl]:
    return dict.fromkeys(names, _TEXT)


_KIND: Final = _object("GroupVersionKind", _texts("group", "version", "kind"))
_RESOURCE: Final = _object("GroupVersionResource", _texts("group", "version", "resource"))
_EXTRA: Final = Decl(t.map_of(t.STRING, t.list_of(t.STRING)), 2)
_USER: Final = _object("UserInfo", {**_texts("username", "uid"), "groups": _TEXTS, "extra": _EXTRA})
_REQUEST: Final = _object(
    "AdmissionRequest",
    {
        **_texts("subResource", "requestSubResource", "name", "namespace", "operation"),
        "kind": _KIND,
        "resource": _RESOURCE,
        "requestKind": _KIND,
        "requestResource": _RESOURCE,
        "userInfo": _USER,
        "dryRun": Decl(t.BOOL, 4),
        "options": Decl(t.DYN, 1),
    },
)
_CONDITION: Final = _object(
    "NamespaceCondition", {**_texts("status", "type", "message", "reason"), "lastTransitionTime": _TIME}
)
_CONDITIONS: Final = Decl(t.list_of(_CONDITION.type), 2, element=_CONDITION)
_METADATA: Final = _object(
    "NamespaceMetadata",
    {
        **_texts("name", "generateName", "namespace", "UID", "resourceVersion"),
        **dict.fromkeys(("labels", "annotations"), _STRINGS),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp"), _TIME),
        **dict.fromkeys(("deletionGracePeriodSeconds", "generation"), _INT),
        "finalizers": _TEXTS,
    },
)
_NAMESPACE: Final = _object(
    "Namespace",
    {
        "metadata": _METADATA,
        "spec": _object("NamespaceSpec", {"finalizers": _TEXTS}),
        "status": _object("NamespaceStatus", {**_texts("phase"), "conditions": _CONDITIONS}),
    },
)
_ALWAYS: Final[Mapping[str, t.Type]] = {
    "object": t.DYN,
    "oldObject": t.DYN,
    "namespaceObject": _NAMESPACE.type,
    "request": _REQUEST.type,
}
_AUTHORIZERS: Final[Mapping[str, t.Type]] = {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}
VARIABLES: Final = (*_ALWAYS, *_AUTHORIZERS, "params", "variables")
# Types that a variable of a policy keeps; what has any other type is dynamic to those who read it.
_KEPT: Final = frozenset({*t.SCALARS, t.STRING, t.BYTES, t.NULL})


@dataclass(frozen=True, slots=True)
class Environment:
    """Which variables there are beside those that are always there.

    ``variables`` are the policy's own, by name, None where a policy has none; in expressions without
    ``has_authorizer`` there is no authorizer to ask.
    """

    has_params: bool = False
    has_authorizer: bool = True
    variables: Mapping[str, t.Type] | None = None
    _types: dict[str, t.Type] = field(init=False)
    _root: Decl = field(init=False)

    def __post_init__(self) -> None:
        own = {name: Decl(found, 1) for name, found in (self.variables or {}).items()}
        variables = _object("variables", own)
        types = {
            **_ALWAYS,
            **(_AUTHORIZERS if self.has_authorizer else {}),
            **({"params": t.DYN} if self.has_params else {}),
            **({} if self.variables is None else {"variables": variables.type}),
        }
        fields = {"request": _REQUEST, "namespaceObject": _NAMESPACE, "variables": variables}
        object.__setattr__(self, "_types", types)
        object.__setattr__(self, "_root", _object("root", fields))

    def with_variable(self, name: str, found: t.Type) -> Environment:
        """Return an environment with one more variable of the policy."""
        return replace(self, variables={**(self.variables or {}), name: _visible(found)})

    def compile(self, source: str, *results: t.Type) -> Checked:
        """Compile an expression that must give one of these types; with none given, anything.

        Raises CelCompileError, in the server's words.
        """
        try:
            checked = compile_expression(source, self._types, self._root, AUTHORIZER_FUNCTIONS)
        except CelCompileError as error:
            message = f"compilation failed: {error}"
            raise CelCompileError(message) from error
        if results and checked.type not in results:
            shown = " ".join(one.kind for one in results)
            words = f"must evaluate to {shown}" if len(results) == 1 else f"must evaluate to one of [{shown}]"
            raise CelCompileError(words)
        return checked


def _visible(found: t.Type) -> t.Type:
    if found.kind in {"list", "map"}:
        return t.Type(found.kind, tuple(map(_visible, found.params)))
    return found if found in _KEPT else t.DYN


class Expression:
    """An expression of a policy, ready to run; one that can't be compiled fails whenever it runs."""

    def __init__(self, source: str, environment: Environment, *results: t.Type) -> None:
        self.source = source
        self.type = t.DYN
        self.error = ""
        self._program: Program | None = None
        try:
            checked = environment.compile(source, *results)
        except CelCompileError as error:
            self.error = str(error)
        else:
            self.type = checked.type
            self._program = Program(checked, VARIABLES, AUTHORIZER_IMPLEMENTATIONS)

    def run(self, values: Mapping[str, Value]) -> Value:
        """Run with the values of `VARIABLES`. Raises CelError."""
        if self._program is None:
            raise CelError(self.error)
        return self._program.run(values)
