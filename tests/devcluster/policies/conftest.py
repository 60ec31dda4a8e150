"""A server's store with policies in it."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_devcluster.access.users import User
from adapter_devcluster.objects import Object
from adapter_devcluster.policies import AdmissionRequest, PolicyAdmission
from adapter_devcluster.policies.admission import BINDINGS, POLICIES
from adapter_devcluster.statuses import StatusError
from adapter_testing.access_lab import ANN, AccessLab

WIDGETS = {"apiGroups": ["example.test"], "apiVersions": ["*"], "operations": ["*"], "resources": ["widgets"]}


class PolicyLab(AccessLab):
    """A lab with a namespace ``one``, a custom resource ``widgets`` and the admission under test."""

    def __init__(self) -> None:
        super().__init__()
        self.serve("example.test", "v1", "Widget")
        self.put("namespaces", "one", labels={"kubernetes.io/metadata.name": "one", "team": "red"})
        tables = [self.api.store.table(resource) for resource in (POLICIES, BINDINGS)]
        self.admission = PolicyAdmission(
            self.client, self.authorizer, lambda: sum(table.version for table in tables), clock=lambda: self.clock
        )

    def policy(
        self, *expressions: str, name: str = "p", bound: bool = True, rules: Any = None, match: Any = None, **spec: Any
    ) -> None:
        """Store a policy on widgets with these validations, and a binding of its name that denies."""
        constraints = {"resourceRules": rules or [WIDGETS], **(match or {})}
        validations = [{"expression": expression} for expression in expressions]
        self.put(POLICIES, name, spec={"matchConstraints": constraints, "validations": validations, **spec})
        if bound:
            self.binding(name)

    def binding(self, policy: str = "p", name: str = "", **spec: Any) -> None:
        """Store a binding."""
        self.put(BINDINGS, name or policy, spec={"policyName": policy, "validationActions": ["Deny"], **spec})

    def request(self, obj: Object | None = None, **more: Any) -> AdmissionRequest:
        """Return the creation of a widget, or of what else is said."""
        return AdmissionRequest(
            **{
                "operation": "CREATE",
                "group": "example.test",
                "version": "v1",
                "resource": "widgets",
                "kind": "Widget",
                "namespace": "one",
                "name": "w",
                "object": widget() if obj is None and "object" not in more else obj,
                "user": ANN,
                **more,
            }
        )

    def check(self, obj: Object | None = None, **more: Any) -> list[str]:
        """Ask the admission; returns warnings."""
        return self.admission.check(self.request(obj, **more))

    def refusal(self, obj: Object | None = None, **more: Any) -> str:
        """Return what a request is refused with, without the sentence around it; "" if it passes."""
        try:
            self.check(obj, **more)
        except StatusError as error:
            return str(error).partition(" denied request: ")[2]
        return ""


def widget(spec: Object | None = None, **metadata: Any) -> Object:
    """Return a widget."""
    return {
        "apiVersion": "example.test/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "one", **metadata},
        "spec": {"replicas": 3, **(spec or {})},
    }


@pytest.fixture
def lab() -> PolicyLab:
    return PolicyLab()


@pytest.fixture
def robot() -> User:
    return User("system:serviceaccount:one:robot", ("system:serviceaccounts",))
