"""What extends the server: resource definitions, admission policies, webhooks (v1.36).

The expressions of policies are checked where policies are run, not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter_devcluster.apiextensions import FieldError, check_crd
from adapter_devcluster.apiextensions.errors import (
    Reason,
    duplicate,
    forbidden,
    index,
    invalid,
    not_supported,
    required,
    too_many,
)
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import ALL_METADATA, Strategy, UpdateChecks, spec_of
from adapter_devcluster.objects import Object, annotations_of, copy, section

_HTTPS: Final = 443


# --- CustomResourceDefinitions -------------------------------------------------------------------------------


def _default_definition(crd: Object) -> None:
    spec = crd["spec"]
    names = spec["names"]
    names.setdefault("singular", names["kind"].lower())
    if names["kind"]:
        names.setdefault("listKind", f"{names['kind']}List")
    conversion = spec.setdefault("conversion", {"strategy": "None"})
    service = conversion.get("webhook", {}).get("clientConfig", {}).get("service")
    if service is not None:
        service.setdefault("port", _HTTPS)


def _storage_version(crd: Object) -> list[str]:
    return [version["name"] for version in crd["spec"].get("versions") or () if version["storage"]][:1]


def _prepare_definition(crd: Object) -> None:
    crd["status"]["storedVersions"] = _storage_version(crd) or None


def _prepare_definition_update(new: Object, old: Object) -> None:
    """Note every version that objects may be stored in."""
    status = new["status"]
    stored = status.get("storedVersions") or []
    added = [name for name in _storage_version(new) if name not in stored]
    if added:
        new["status"] = {**copy(old.get("status") or {}), "storedVersions": [*stored, *added]}


def _any_name(_: str) -> list[str]:
    """Leave the name to the check of the whole definition, which knows what it has to be."""
    return []


# Where the server has what all versions say alike: in fields of the internal form that v1 no longer shows.
_HOISTED: Final = {
    "additionalPrinterColumns": "additionalPrinterColumns",
    "schema": "validation",
    "selectableFields": "selectableFields",
    "subresources": "subresources",
}
_VERSION_FIELD: Final = re.compile(r"spec\.versions\[(\d+)\]\.(\w+)(.*)", re.DOTALL)
_MOST_SELECTABLE: Final = 8


def _check_definition(crd: Object) -> Iterator[FieldError]:
    alike = {name for name in _HOISTED if _is_alike(crd, name)}
    for error in [*check_crd(crd), *_check_selectable_fields(crd)]:
        # That a name is missing is found with the rest of the metadata.
        if (error.field, error.reason) != ("metadata.name", Reason.REQUIRED):
            yield from _hoisted(error, alike)
    yield from _check_approval(crd)
    yield from _check_conversion(crd["spec"]["conversion"], "spec.conversion")
    versions, stored = crd["spec"].get("versions") or (), crd["status"].get("storedVersions") or []
    if not stored:
        yield invalid("status.storedVersions", stored, "must have at least one stored version")
        return
    for version in versions:
        if version["storage"] and version["name"] not in stored:
            yield invalid("status.storedVersions", stored, f"must have the storage version {version['name']}")
    for position, name in enumerate(stored):
        if name not in {version["name"] for version in versions}:
            yield invalid(index("status.storedVersions", position), name, _MIGRATE.replace("VERSION", name))


def _is_alike(crd: Object, name: str) -> bool:
    versions = crd["spec"].get("versions") or []
    return all(version.get(name) == versions[0].get(name) for version in versions)


def _hoisted(error: FieldError, alike: set[str]) -> Iterator[FieldError]:
    """Give an error the path that the server gives it: what is alike in all versions is looked at once."""
    match = _VERSION_FIELD.fullmatch(error.field)
    missing = error.reason == Reason.REQUIRED and error.field.endswith(".schema.openAPIV3Schema")
    if not match or match[2] not in alike or missing:
        yield error
    elif match[1] == "0":
        yield FieldError(f"spec.{_HOISTED[match[2]]}{match[3]}", error.reason, error.message)


def _check_selectable_fields(crd: Object) -> Iterator[FieldError]:
    for position, version in enumerate(crd["spec"].get("versions") or ()):
        path = f"spec.versions[{position}].selectableFields"
        schema = section(version, "schema", "openAPIV3Schema")
        seen: set[str] = set()
        for at, selectable in enumerate(version.get("selectableFields") or ()):
            field, found = f"{path}[{at}].jsonPath", selectable.get("jsonPath") or ""
            node = _at_path(schema, found)
            if not found:
                yield required(field)
            elif node is None:
                yield invalid(field, found, "is an invalid path: does not refer to a field")
            elif found.startswith(".metadata"):
                yield invalid(field, found, "must not point to fields in metadata")
            elif node.get("type") not in ("string", "boolean", "integer"):
                yield invalid(field, found, "must point to a field of type string, boolean or integer.")
            if found in seen:
                yield duplicate(field, found)
            seen.add(found)
        if len(seen) > _MOST_SELECTABLE:
            yield too_many(path, len(seen), _MOST_SELECTABLE)


def _at_path(schema: Object, path: str) -> Object | None:
    """Return the schema of a field by a simple path such as ``.spec.size``, None where there is none."""
    first, *names = path.split(".")
    found: Object | None = None if first or not names else schema
    for name in names:
        found = section(found or {}, "properties").get(name)
    return found


def _check_conversion(conversion: Object, path: str) -> Iterator[FieldError]:
    """Check how objects get from one version to another."""
    strategy, webhook = conversion.get("strategy"), conversion.get("webhook") or {}
    if not strategy:
        yield required(f"{path}.strategy")
    elif strategy not in ("None", "Webhook"):
        yield not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        client = webhook.get("clientConfig")
        if client is None:
            yield required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
        elif ("url" in client) == ("service" in client):
            yield required(f"{path}.webhookClientConfig", "exactly one of url or service is required")
        if not webhook.get("conversionReviewVersions"):
            yield required(f"{path}.conversionReviewVersions")
    elif "clientConfig" in webhook:
        yield forbidden(f"{path}.webhookClientConfig", "should not be set when strategy is not set to Webhook")


def _check_approval(crd: Object) -> Iterator[FieldError]:
    """Groups of the Kubernetes community want the word of somebody who approved."""
    group = crd["spec"]["group"]
    if group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io"):
        approval = annotations_of(crd).get(_APPROVAL, "")
        if not approval:
            yield required(f"metadata.annotations[{_APPROVAL}]", "protected groups must have approval annotation")
        elif not approval.startswith(("https://", "http://", "unapproved")):
            detail = "protected groups must have approval annotation with either a URL or a reason starting with"
            yield invalid(f"metadata.annotations[{_APPROVAL}]", approval, f'{detail} "unapproved"')


def _check_definition_update(new: Object, old: Object) -> Iterator[FieldError]:
    spec, stored = new["spec"], old["spec"]
    yield from checks.unchanged(spec, stored, "spec", "group")
    yield from checks.unchanged(spec["names"], stored["names"], "spec.names", "plural")
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
        yield from checks.unchanged(spec, stored, "spec", "scope")
        yield from checks.unchanged(spec["names"], stored["names"], "spec.names", "kind")


_APPROVAL: Final = "api-approved.kubernetes.io"
_MIGRATE: Final = (
    "missing from spec.versions; VERSION was previously a storage version, and must remain in spec.versions until a "
    "storage migration ensures no data remains persisted in VERSION and removes VERSION from status.storedVersions"
)


# --- Admission policies and webhooks -------------------------------------------------------------------------


def _default_match(match: Object) -> None:
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for name in ("resourceRules", "excludeResourceRules", "rules"):
        for rule in match.get(name) or ():
            rule.setdefault("scope", "*")


def _default_policy(policy: Object) -> None:
    policy["spec"].setdefault("failurePolicy", "Fail")
    if "matchConstraints" in policy["spec"]:
        _default_match(policy["spec"]["matchConstraints"])


def _default_binding(binding: Object) -> None:
    spec = binding["spec"]
    if "matchResources" in spec:
        _default_match(spec["matchResources"])
    if "paramRef" in spec:
        spec["paramRef"].setdefault("parameterNotFoundAction", "Deny")


def _default_webhooks(configuration: Object) -> None:
    for webhook in configuration.get("webhooks") or ():
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("timeoutSeconds", 10)
        _default_match(webhook)
        service = webhook["clientConfig"].get("service")
        if service is not None:
            service.setdefault("port", _HTTPS)


def _default_mutating_webhooks(configuration: Object) -> None:
    _default_webhooks(configuration)
    for webhook in configuration.get("webhooks") or ():
        webhook.setdefault("reinvocationPolicy", "Never")


def _webhooks_of(obj: Mapping[str, Any]) -> object:
    return obj.get("webhooks")


DEFINITIONS: Final = Strategy(
    check_name=_any_name,
    defaults=_default_definition,
    prepare_create=_prepare_definition,
    prepare_update=_prepare_definition_update,
    check=_check_definition,
    check_update=_check_definition_update,
    update=UpdateChecks(metadata=0),
    generation_of=spec_of,
)
POLICIES: Final = Strategy(
    defaults=_default_policy, status_keeps=ALL_METADATA, update=UpdateChecks(changes=1), generation_of=spec_of
)
POLICY_BINDINGS: Final = Strategy(defaults=_default_binding, update=UpdateChecks(changes=1), generation_of=spec_of)
VALIDATING_WEBHOOKS: Final = Strategy(
    defaults=_default_webhooks, update=UpdateChecks(changes=1), generation_of=_webhooks_of
)
MUTATING_WEBHOOKS: Final = Strategy(
    defaults=_default_mutating_webhooks, update=UpdateChecks(changes=1), generation_of=_webhooks_of
)
