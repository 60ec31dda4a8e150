"""Validation of the specs of jobs (``validateJobSpec``, ``pkg/apis/batch/validation``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import (
    OMITTED,
    child,
    duplicate,
    index,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.containers import names_of
from adapter_devcluster.builtin.pod_specs import check_template
from adapter_devcluster.objects import Object

_NUMBERS: Final = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_MOST_INDEXES: Final = 100_000
_MOST_RULES: Final = 20
_MOST_EXIT_CODES: Final = 255
_LONGEST_MANAGER: Final = 63
_LONGEST_INDEXES: Final = 64 * 1024
_ACTIONS: Final = ("Count", "FailIndex", "FailJob", "Ignore")


def check_job_spec(spec: Object, path: str) -> Iterator[FieldError]:
    """Check the spec of a job, or of a CronJob's template, where what has a default may be missing."""
    yield from checks.non_negative(spec, path, *_NUMBERS)
    yield from _check_mode(spec, path)
    if "managedBy" in spec:
        yield from _check_manager(spec, path)
    if "podFailurePolicy" in spec:
        yield from _check_failure_policy(spec, child(path, "podFailurePolicy"))
    supported = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
    yield from checks.one_of_if_set(spec, path, "podReplacementPolicy", supported)
    yield from check_template(spec["template"], child(path, "template"))
    yield from _check_restart_policy(spec, child(path, "template.spec.restartPolicy"))


def _check_restart_policy(spec: Object, path: str) -> Iterator[FieldError]:
    policy = spec["template"]["spec"]["restartPolicy"]
    if policy == "Always":
        # It is the default, so it stands for nothing said.
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield not_supported(path, policy, ("OnFailure", "Never"))
    elif policy != "Never" and "podFailurePolicy" in spec:
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _check_mode(spec: Object, path: str) -> Iterator[FieldError]:
    yield from checks.one_of_if_set(spec, path, "completionMode", ("Indexed", "NonIndexed"))
    if spec.get("completionMode") != "Indexed":
        for name in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
            if name in spec:
                yield invalid(child(path, name), spec[name], "requires indexed completion mode")
        return
    completions = spec.get("completions")
    if completions is None:
        yield required(child(path, "completions"), "when completion mode is Indexed")
    if (spec.get("parallelism") or 0) > _MOST_INDEXES:
        detail = f"must be less than or equal to {_MOST_INDEXES} when completion mode is Indexed"
        yield invalid(child(path, "parallelism"), spec["parallelism"], detail)
    if "maxFailedIndexes" in spec:
        if "backoffLimitPerIndex" not in spec:
            yield required(child(path, "backoffLimitPerIndex"), "when maxFailedIndexes is specified")
        if completions is not None and spec["maxFailedIndexes"] > completions:
            detail = "must be less than or equal to completions"
            yield invalid(child(path, "maxFailedIndexes"), spec["maxFailedIndexes"], detail)
    if "successPolicy" in spec:
        yield from _check_success_policy(spec, child(path, "successPolicy"), completions or 0)


def _check_manager(spec: Object, path: str) -> Iterator[FieldError]:
    manager, at = spec["managedBy"], child(path, "managedBy")
    domain, slash, rest = manager.partition("/")
    if not slash or not rest or names.check_dns_subdomain(domain):
        yield invalid(at, manager, 'must be a domain-prefixed path (such as "acme.io/foo")')
    if len(manager) > _LONGEST_MANAGER:
        yield too_long(at, _LONGEST_MANAGER)


def _check_failure_policy(spec: Object, path: str) -> Iterator[FieldError]:
    policy, pod = spec["podFailurePolicy"], spec["template"]["spec"]
    known = {*names_of(pod.get("containers")), *names_of(pod.get("initContainers"))}
    rules = policy.get("rules") or ()
    if len(rules) > _MOST_RULES:
        yield too_many(child(path, "rules"), len(rules), _MOST_RULES)
    for at, rule in checks.items_of(policy, "rules", path):
        action, codes, conditions = rule.get("action") or "", rule.get("onExitCodes"), rule.get("onPodConditions")
        yield from checks.one_of(rule, at, "action", _ACTIONS)
        if action == "FailIndex" and "backoffLimitPerIndex" not in spec:
            yield invalid(child(at, "action"), action, "requires the backoffLimitPerIndex to be set")
        if codes is not None:
            yield from _check_exit_codes(codes, child(at, "onExitCodes"), known)
        yield from _check_conditions(rule, at)
        if codes is not None and conditions:
            detail = "specifying both OnExitCodes and OnPodConditions is not supported"
            yield invalid(at, OMITTED, detail)
        elif codes is None and not conditions:
            yield invalid(at, OMITTED, "specifying one of OnExitCodes and OnPodConditions is required")


def _check_conditions(rule: Object, path: str) -> Iterator[FieldError]:
    found = rule.get("onPodConditions") or ()
    if len(found) > _MOST_RULES:
        yield too_many(child(path, "onPodConditions"), len(found), _MOST_RULES)
    for at, pattern in checks.items_of(rule, "onPodConditions", path):
        for problem in names.check_label_key(pattern.get("type") or ""):
            yield invalid(child(at, "type"), pattern.get("type") or "", problem)
        yield from checks.one_of(pattern, at, "status", ("False", "True", "Unknown"))


def _check_exit_codes(codes: Object, path: str, known: set[str]) -> Iterator[FieldError]:
    yield from checks.one_of(codes, path, "operator", ("In", "NotIn"))
    name = codes.get("containerName")
    if name is not None and name not in known:
        detail = "must be one of the container or initContainer names in the pod template"
        yield invalid(child(path, "containerName"), name, detail)
    values, at = codes.get("values") or [], child(path, "values")
    if not values:
        yield invalid(at, values, "at least one value is required")
    elif len(values) > _MOST_EXIT_CODES:
        yield too_many(at, len(values), _MOST_EXIT_CODES)
    for position, value in enumerate(values):
        if value == 0 and codes.get("operator") == "In":
            yield invalid(index(at, position), value, "must not be 0 for the In operator")
        if value in values[:position]:
            yield duplicate(index(at, position), value)
    if values != sorted(values):
        yield invalid(at, values, "must be ordered")


def _check_success_policy(spec: Object, path: str, completions: int) -> Iterator[FieldError]:
    policy = spec["successPolicy"]
    rules = policy.get("rules") or ()
    if not rules:
        yield required(child(path, "rules"), "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > _MOST_RULES:
        yield too_many(child(path, "rules"), len(rules), _MOST_RULES)
    for at, rule in checks.items_of(policy, "rules", path):
        count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
        if count is None and indexes is None:
            yield required(at, "at least one of succeededCount or succeededIndexes must be specified")
        total = completions
        if indexes is not None:
            if len(indexes) > _LONGEST_INDEXES:
                yield too_long(child(at, "succeededIndexes"), _LONGEST_INDEXES)
            try:
                total = _count_indexes(indexes, completions)
            except ValueError as error:
                yield invalid(child(at, "succeededIndexes"), indexes, f"error parsing succeededIndexes: {error}")
        yield from checks.non_negative(rule, at, "succeededCount")
        if count is not None and count > total:
            what = "specified completions" if indexes is None else "indexes in the specified succeededIndexes field"
            detail = f"must be less than or equal to {total} (the number of {what})"
            yield invalid(child(at, "succeededCount"), count, detail)


def _count_indexes(text: str, completions: int) -> int:
    """Count the indexes of ``1,3-5``: whole numbers below ``completions`` that only grow. Raises ValueError."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        first, dash, final = part.partition("-")
        begin, end = int(first), int(final) if dash else int(first)
        if dash and end <= begin:
            raise ValueError(f"non-increasing order, previous: {begin}, current: {end}")
        if begin <= last:
            raise ValueError(f"non-increasing order, previous: {last}, current: {begin}")
        if end >= completions:
            raise ValueError(f'too large index: "{end}"')
        total, last = total + end - begin + 1, end
    return total
