"""What the status of a Job may become (``pkg/apis/batch/validation``, ``pkg/registry/batch/job/strategy.go``, v1.36).

Whoever writes it, the Job controller or one that manages Jobs in its place, can't contradict what is there. A rule
is applied only when what it is about changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions.errors import OMITTED, invalid, required
from adapter_devcluster.builtin import checks
from adapter_devcluster.objects import Object, parse_time, section

_COUNTS: Final = ("active", "succeeded", "failed", "ready", "terminating")
_CONDITIONS: Final = "status.conditions"


class _Status:
    """One state of a Job's status."""

    def __init__(self, job: Object) -> None:
        self.raw = section(job, "status")
        conditions = self.raw.get("conditions") or ()
        self.true = {one["type"] for one in conditions if one.get("status") == "True"}
        self.complete, self.failed = "Complete" in self.true, "Failed" in self.true
        self.finished = self.complete or self.failed
        uncounted = section(self.raw, "uncountedTerminatedPods")
        self.uncounted = [*(uncounted.get("failed") or ()), *(uncounted.get("succeeded") or ())]

    def count(self, name: str) -> int:
        return int(self.raw.get(name) or 0)


def check_job_status(new: Object, old: Object) -> Iterator[FieldError]:
    """Check an update of the status of a Job."""
    now, before = _Status(new), _Status(old)
    yield from checks.non_negative(now.raw, "status", *_COUNTS)
    yield from _check_conditions(now, before)
    yield from _check_times(now, before)
    yield from _check_finished(now, before)
    yield from _check_indexes(new, now, before)
    ready = now.raw.get("ready")
    if ready is not None and _changed(now, before, "ready", "active") and ready > now.count("active"):
        yield invalid("status.ready", ready, "cannot set more ready pods than active")
    if "SuccessCriteriaMet" in now.true:
        for other, shown in (("Failed", "Failed=true"), ("FailureTarget", "FailureTarget=true")):
            if other in now.true:
                yield _contradiction(f"cannot set SuccessCriteriaMet=True and {shown} conditions")
    elif now.complete and new["spec"].get("successPolicy") is not None:
        yield _contradiction("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")
    yield from _check_transition(new, now, before)


def _check_conditions(now: _Status, before: _Status) -> Iterator[FieldError]:
    complete, failed = now.complete != before.complete, now.failed != before.failed
    target = ("FailureTarget" in now.true) != ("FailureTarget" in before.true)
    if (complete or failed) and now.complete and now.failed:
        yield _contradiction("cannot set Complete=True and Failed=true conditions")
    if (complete or target) and now.complete and "FailureTarget" in now.true:
        yield _contradiction("cannot set Complete=True and FailureTarget=true conditions")
    if failed and now.failed and "FailureTarget" not in now.true:
        yield _contradiction("cannot set Failed=True condition without the FailureTarget=true condition")
    if complete and now.complete and "SuccessCriteriaMet" not in now.true:
        yield _contradiction("cannot set Complete=True condition without the SuccessCriteriaMet=true condition")


def _check_times(now: _Status, before: _Status) -> Iterator[FieldError]:
    field, end, start = "status.completionTime", now.raw.get("completionTime"), now.raw.get("startTime")
    if now.complete != before.complete or _changed(now, before, "completionTime"):
        if end and not now.complete:
            yield invalid(field, end, "cannot set completionTime when there is no Complete=True condition")
        if not end and now.complete:
            yield required(field, "completionTime is required for Complete jobs")
    if start and end and _changed(now, before, "startTime", "completionTime") and parse_time(end) < parse_time(start):
        yield invalid(field, end, "completionTime cannot be set before startTime")


def _check_finished(now: _Status, before: _Status) -> Iterator[FieldError]:
    if not now.finished:
        return
    ended = not before.finished
    if now.count("active") and (ended or _changed(now, before, "active")):
        yield invalid("status.active", now.count("active"), "active>0 is invalid for finished job")
    if "startTime" not in now.raw and (ended or _changed(now, before, "startTime")):
        yield required("status.startTime", "startTime is required for finished job")
    if now.uncounted and (ended or now.uncounted != before.uncounted):
        detail = "uncountedTerminatedPods needs to be empty for finished job"
        yield invalid("status.uncountedTerminatedPods", now.raw["uncountedTerminatedPods"], detail)
    if now.count("terminating") and (ended or _changed(now, before, "terminating")):
        yield invalid("status.terminating", now.count("terminating"), "terminating>0 is invalid for finished job")


def _check_indexes(job: Object, now: _Status, before: _Status) -> Iterator[FieldError]:
    completed, failed = now.raw.get("completedIndexes"), now.raw.get("failedIndexes")
    indexed = job["spec"].get("completionMode") == "Indexed"
    if completed and not indexed and _changed(now, before, "completedIndexes"):
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield invalid("status.completedIndexes", completed, detail)
    if failed is not None and "backoffLimitPerIndex" not in job["spec"] and _changed(now, before, "failedIndexes"):
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        yield invalid("status.failedIndexes", failed, detail)


def _check_transition(job: Object, now: _Status, before: _Status) -> Iterator[FieldError]:
    for name in ("Failed", "Complete", "FailureTarget"):
        if name in before.true - now.true:
            yield _contradiction(f"cannot disable the terminal {name}=True condition")
    spec = job["spec"]
    scaled = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for name in ("failed", *(() if scaled else ("succeeded",))):
        if now.count(name) < before.count(name):
            yield invalid(f"status.{name}", now.count(name), f"cannot decrease the {name} counter")
    end, start = now.raw.get("completionTime"), before.raw.get("startTime")
    if end and before.raw.get("completionTime") not in (None, end):
        yield invalid("status.completionTime", end, "completionTime cannot be mutated")
    if start and now.raw.get("startTime") != start and not spec.get("suspend"):
        yield required("status.startTime", "startTime cannot be removed for unsuspended job")
    if "SuccessCriteriaMet" in before.true - now.true:
        yield _contradiction("cannot disable the SuccessCriteriaMet=True condition")
    if before.complete and "SuccessCriteriaMet" in now.true - before.true:
        yield _contradiction("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")


def _changed(now: _Status, before: _Status, *names: str) -> bool:
    return any(now.raw.get(name) != before.raw.get(name) for name in names)


def _contradiction(problem: str) -> FieldError:
    return invalid(_CONDITIONS, OMITTED, problem)
