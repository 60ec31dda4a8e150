"""Jobs and CronJobs: defaults, the generated selector, what an update may change (``pkg/registry/batch``, v1.36)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import invalid, not_supported, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.cron import CronError, check_schedule, check_time_zone
from adapter_devcluster.builtin.job_specs import check_job_spec
from adapter_devcluster.builtin.job_status import check_job_status
from adapter_devcluster.builtin.pod_defaults import default_template
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks, spec_of
from adapter_devcluster.objects import Object, copy, labels_of, meta

_PREFIX: Final = "batch.kubernetes.io/"
_MAX_INT32: Final = 2**31 - 1
_LONGEST_CRON_NAME: Final = 52
_SCHEDULING: Final = ("nodeSelector", "tolerations", "schedulingGates")
_FIXED: Final = ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")


def _default_job_spec(spec: Object) -> None:
    default_template(spec["template"])
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    # With a limit per index the limit for the whole job is as good as none.
    spec.setdefault("backoffLimit", _MAX_INT32 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")


def _default_failure_policy(spec: Object) -> None:
    for rule in spec.get("podFailurePolicy", {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern["status"] = pattern["status"] or "True"


def _default_job(job: Object) -> None:
    _default_job_spec(job["spec"])
    _default_failure_policy(job["spec"])
    labels = labels_of(job["spec"]["template"])
    if labels and not labels_of(job):
        # As in Go it is one map: what is generated for the template shows on the job as well.
        meta(job)["labels"] = labels


def _generate_selector(job: Object) -> None:
    """Give the pods labels that are this job's alone, and select them."""
    spec, found = job["spec"], meta(job)
    if spec["manualSelector"] is True:
        return
    template = spec["template"]["metadata"]
    labels = template.setdefault("labels", {})
    for prefix in ("", _PREFIX):
        labels.setdefault(f"{prefix}job-name", found.get("name", ""))
        labels.setdefault(f"{prefix}controller-uid", found.get("uid", ""))
    selector = spec.setdefault("selector", {})
    selector.setdefault("matchLabels", {}).setdefault(f"{_PREFIX}controller-uid", found.get("uid", ""))
    if found.get("labels") is labels:
        found["labels"] = copy(labels)


def _check_job(job: Object) -> Iterator[FieldError]:
    spec = job["spec"]
    yield from _check_generated(job)
    yield from check_job_spec(spec, "spec")
    selector, labels = spec.get("selector"), labels_of(spec["template"])
    if selector is None:
        yield required("spec.selector")
    problems = list(checks.check_label_selector(selector, "spec.selector"))
    yield from problems
    if not problems and not checks.selects(selector, labels):
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    name, completions = str(meta(job).get("name") or ""), spec.get("completions")
    if spec["completionMode"] == "Indexed" and completions:
        # Pods are named after their index, and their name is their host's name.
        host = f"{name}-{completions - 1}"
        for problem in names.check_dns_label(host):
            detail = f"will not able to create pod with invalid DNS label: {host}: {problem}"
            yield invalid("metadata.name", name, detail)


def _check_generated(job: Object) -> Iterator[FieldError]:
    spec, found = job["spec"], meta(job)
    if spec["manualSelector"] is True or spec.get("selector") is None:
        return
    labels = labels_of(spec["template"])
    expected = {}
    for prefix in (_PREFIX, ""):
        for name, value in (("controller-uid", found.get("uid")), ("job-name", found.get("name"))):
            expected[f"{prefix}{name}"] = str(value)
            path = f"spec.template.metadata.labels[{prefix}{name}]"
            if f"{prefix}{name}" not in labels:
                yield required(path, f"must be '{value}'")
            elif labels[f"{prefix}{name}"] != value:
                yield invalid(path, labels, f"must be '{value}'")
    selector = spec["selector"]
    readable = not any(checks.check_label_selector(selector, "spec.selector"))
    if readable and not checks.selects(selector, expected):
        yield invalid("spec.selector", selector, "`selector` not auto-generated")


def _check_job_update(new: Object, old: Object) -> Iterator[FieldError]:
    spec, stored = new["spec"], old["spec"]
    yield from _check_completions(spec, stored)
    if spec["template"] != _with_free_fields(stored["template"], spec["template"], old):
        yield invalid("spec.template", spec["template"], checks.IMMUTABLE)
    yield from checks.unchanged(spec, stored, "spec", *_FIXED)


def _check_completions(spec: Object, stored: Object) -> Iterator[FieldError]:
    """Only an indexed job grows and shrinks, and only together with its parallelism."""
    found = spec.get("completions")
    if found == stored.get("completions"):
        return
    if spec["completionMode"] != "Indexed" or found is None:
        yield invalid("spec.completions", found, checks.IMMUTABLE)
    elif found != spec.get("parallelism"):
        yield invalid("spec.completions", found, "can only be modified in tandem with spec.parallelism")


def _with_free_fields(stored: Object, new: Object, old: Object) -> Object:
    """Return the stored template with what may change now taken from the new one.

    While a job is suspended and no pod is left, its pods may be placed and sized differently
    (MutableSchedulingDirectivesForSuspendedJobs and MutablePodResourcesForSuspendedJobs, both beta in 1.36).
    """
    if old["spec"].get("suspend") is not True or (old.get("status") or {}).get("active"):
        return stored
    allowed: Object = copy(stored)
    for name in ("labels", "annotations"):
        _take(allowed["metadata"], new["metadata"], name)
    spec, wanted = allowed["spec"], new["spec"]
    for name in _SCHEDULING:
        _take(spec, wanted, name)
    affinity: Object = {**(spec.get("affinity") or {})}
    _take(affinity, wanted.get("affinity") or {}, "nodeAffinity")
    if affinity or ("affinity" in wanted and not wanted["affinity"]):
        spec["affinity"] = affinity
    else:
        spec.pop("affinity", None)
    for name in ("containers", "initContainers"):
        for container, asked in zip(spec.get(name) or (), wanted.get(name) or (), strict=False):
            container["resources"] = asked["resources"]
    return allowed


def _take(target: Object, source: Object, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)


# --- CronJobs --------------------------------------------------------------------------------------------------


def _default_cron_job(obj: Object) -> None:
    spec = obj["spec"]
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    # Most defaults of jobs come when the job is made.
    default_template(spec["jobTemplate"]["spec"]["template"])
    _default_failure_policy(spec["jobTemplate"]["spec"])


def _check_cron_job(obj: Object) -> Iterator[FieldError]:
    spec, name = obj["spec"], str(meta(obj).get("name") or "")
    if len(name) > _LONGEST_CRON_NAME:
        yield invalid("metadata.name", name, f"must be no more than {_LONGEST_CRON_NAME} characters")
    schedule = spec["schedule"]
    if not schedule:
        yield required("spec.schedule")
    else:
        try:
            check_schedule(schedule)
        except CronError as error:
            yield invalid("spec.schedule", schedule, str(error))
    if "timeZone" in spec and (problem := check_time_zone(spec["timeZone"])):
        yield invalid("spec.timeZone", spec["timeZone"], problem)
    limits = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    yield from checks.non_negative(spec, "spec", *limits)
    yield from checks.one_of(spec, "spec", "concurrencyPolicy", ("Allow", "Forbid", "Replace"))
    template, path = spec["jobTemplate"]["spec"], "spec.jobTemplate.spec"
    yield from check_job_spec(template, path)
    if "selector" in template:
        yield invalid(f"{path}.selector", template["selector"], "`selector` will be auto-generated")
    if template.get("manualSelector"):
        yield not_supported(f"{path}.manualSelector", template["manualSelector"], ("nil", "false"))


JOBS: Final = Strategy(
    defaults=_default_job,
    prepare_create=_generate_selector,
    check=_check_job,
    check_update=_check_job_update,
    check_status=check_job_status,
    update=UpdateChecks(content=2),
    generation_of=spec_of,
)
CRON_JOBS: Final = Strategy(
    defaults=_default_cron_job, check=_check_cron_job, update=UpdateChecks(metadata=0), generation_of=spec_of
)
