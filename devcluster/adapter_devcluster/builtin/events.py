"""Events, which two groups serve in two spellings (``pkg/apis/{core,events}``, v1.36).

They are stored as core/v1 ones. `new_event` and `core_event` give one spelling the form of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from adapter_devcluster.apiextensions import FieldError, names
from adapter_devcluster.apiextensions.errors import invalid, required
from adapter_devcluster.builtin.strategy import Strategy, UpdateChecks
from adapter_devcluster.objects import Object, meta

_NEW_NAMES: Final[Mapping[str, str]] = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_CORE_NAMES: Final = {new: core for core, new in _NEW_NAMES.items()}
# Fields that core/v1 shows even if they are empty, and events.k8s.io/v1 doesn't.
_ALWAYS_IN_CORE: Final = {"reportingComponent": "", "reportingInstance": ""}
_LONGEST: Final = 128
_LONGEST_NOTE: Final = 1024


def new_event(event: Object) -> Object:
    """Give a core/v1 event the form of events.k8s.io/v1."""
    found = {
        _NEW_NAMES.get(name, name): value
        for name, value in event.items()
        if value != _ALWAYS_IN_CORE.get(name, _UNLIKE)
    }
    return {**found, "apiVersion": "events.k8s.io/v1"}


def core_event(event: Object) -> Object:
    """Give an events.k8s.io/v1 event the form of core/v1."""
    found = {_CORE_NAMES.get(name, name): value for name, value in event.items()}
    return {**_ALWAYS_IN_CORE, **found, "apiVersion": "v1"}


_UNLIKE: Final = object()


def _check_core(event: Object) -> Iterator[FieldError]:
    yield from _check(event, {"about": "involvedObject", "by": "reportingComponent", "text": "message"})


def _check_new(event: Object) -> Iterator[FieldError]:
    if not event.get("eventTime"):
        yield required("eventTime")
    yield from _check(event, {"about": "regarding", "by": "reportingController", "text": "note"})
    if event.get("type") not in ("Normal", "Warning"):
        yield invalid("type", event.get("type") or "", "has invalid value: must be Normal or Warning")
    for name in ("deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount", "deprecatedSource"):
        if event.get(name):
            yield invalid(_CORE_NAMES[name], event[name], "needs to be unset")


def _check(event: Object, spelling: Mapping[str, str]) -> Iterator[FieldError]:
    """Check what both have in common, in the spelling of one."""
    about = event.get(spelling["about"]) or {}
    namespace, own = about.get("namespace") or "", meta(event).get("namespace") or ""
    timed = bool(event.get("eventTime"))
    anywhere = ("", "default", "kube-system") if timed else ("", "default")
    if (namespace and namespace != own and not timed) or (not namespace and own not in anywhere):
        yield invalid("involvedObject.namespace", namespace, "does not match event.namespace")
    if not timed:
        return
    # Who writes the new kind of event says who, what and why.
    by = event.get(spelling["by"]) or ""
    if not by:
        yield required(spelling["by"])
    for problem in names.check_label_key(by) if by else ():
        yield invalid(spelling["by"], by, problem)
    for name in ("reportingInstance", "action", "reason"):
        value = event.get(name) or ""
        if not value:
            yield required(name)
        elif len(value) > _LONGEST:
            yield invalid(name, value, f"can have at most {_LONGEST} characters")
    text = event.get(spelling["text"]) or ""
    if len(text) > _LONGEST_NOTE:
        yield invalid(spelling["text"], text, f"can have at most {_LONGEST_NOTE} characters")


EVENTS: Final = Strategy(check_name=names.check_path_segment, check=_check_core, update=UpdateChecks(metadata=0))
NEW_EVENTS: Final = Strategy(check_name=names.check_path_segment, check=_check_new, update=UpdateChecks(metadata=0))
