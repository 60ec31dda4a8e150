"""Leases, access, classes of pods, and what extends the API server's admission."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from adapter_devcluster.objects import Object, section
from adapter_devcluster.presentation.columns.base import AGE, NAME, UNSET, Cell, Column, KindColumns, age, name, number
from adapter_devcluster.selectors import selector_text

_RBAC: Final = "io.k8s.api.rbac.v1."
_PRIORITY: Final = "io.k8s.api.scheduling.v1.PriorityClass"


def _lease(obj: Object, now: int) -> list[Cell]:
    return [name(obj), section(obj, "spec").get("holderIdentity") or "", age(obj, now)]


def _binding(obj: Object, now: int) -> list[Cell]:
    role, subjects = section(obj, "roleRef"), obj.get("subjects") or []
    return [
        name(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(obj, now),
        _subjects(subjects, "User"),
        _subjects(subjects, "Group"),
        _subjects(subjects, "ServiceAccount"),
    ]


def _subjects(subjects: Iterable[Object], kind: str) -> str:
    found = [one for one in subjects if one.get("kind") == kind]
    if kind == "ServiceAccount":
        return ", ".join(f"{one.get('namespace', '')}/{one.get('name', '')}" for one in found)
    return ", ".join(str(one.get("name", "")) for one in found)


def _binding_columns(kind: str, place: str) -> tuple[Column, ...]:
    return (
        NAME,
        Column("Role", (f"{_RBAC}{kind}", "roleRef")),
        AGE,
        Column("Users", f"Users in the {place}", wide=True),
        Column("Groups", f"Groups in the {place}", wide=True),
        Column("ServiceAccounts", f"ServiceAccounts in the {place}", wide=True),
    )


def _priority_class(obj: Object, now: int) -> list[Cell]:
    is_default = bool(obj.get("globalDefault"))
    return [name(obj), number(obj, "value"), is_default, age(obj, now), obj.get("preemptionPolicy", "")]


def _runtime_class(obj: Object, now: int) -> list[Cell]:
    return [name(obj), obj.get("handler", ""), age(obj, now)]


def _webhooks(obj: Object, now: int) -> list[Cell]:
    return [name(obj), len(obj.get("webhooks") or []), age(obj, now)]


def _policy(obj: Object, now: int) -> list[Cell]:
    spec, kind = section(obj, "spec"), section(obj, "spec").get("paramKind")
    parameter = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
    return [name(obj), len(spec.get("validations") or []), parameter, age(obj, now)]


def _policy_binding(obj: Object, now: int) -> list[Cell]:
    spec, reference = section(obj, "spec"), section(obj, "spec", "paramRef")
    parameter = UNSET
    if reference.get("name"):
        parameter = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference.get("selector") is not None:
        parameter = selector_text(reference["selector"])
    return [name(obj), spec.get("policyName", ""), parameter, age(obj, now)]


_WEBHOOKS: Final = KindColumns((NAME, Column("Webhooks", "How many webhooks there are", "integer"), AGE), _webhooks)
_ADMISSION: Final = "admissionregistration.k8s.io"
COLUMNS: Final = {
    ("coordination.k8s.io", "Lease"): KindColumns(
        (NAME, Column("Holder", ("io.k8s.api.coordination.v1.LeaseSpec", "holderIdentity")), AGE), _lease
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): KindColumns(_binding_columns("RoleBinding", "roleBinding"), _binding),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): KindColumns(
        _binding_columns("ClusterRoleBinding", "clusterRoleBinding"), _binding
    ),
    ("scheduling.k8s.io", "PriorityClass"): KindColumns(
        (
            NAME,
            Column("Value", (_PRIORITY, "value"), "integer"),
            Column("Global-Default", (_PRIORITY, "globalDefault"), "boolean"),
            AGE,
            Column("PreemptionPolicy", (_PRIORITY, "preemptionPolicy")),
        ),
        _priority_class,
    ),
    ("node.k8s.io", "RuntimeClass"): KindColumns(
        (NAME, Column("Handler", ("io.k8s.api.node.v1.RuntimeClass", "handler")), AGE), _runtime_class
    ),
    (_ADMISSION, "MutatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "ValidatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "ValidatingAdmissionPolicy"): KindColumns(
        (
            NAME,
            Column("Validations", "How many validations there are", "integer"),
            Column("ParamKind", "The kind of the resources that parameterize this policy"),
            AGE,
        ),
        _policy,
    ),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): KindColumns(
        (
            NAME,
            Column("PolicyName", "The policy that this binding puts to work"),
            Column("ParamRef", "The resources that hold the parameters"),
            AGE,
        ),
        _policy_binding,
    ),
}
