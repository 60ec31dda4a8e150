"""``podFailurePolicy``: what a failed pod means for its job.

Source: ``pkg/controller/job/pod_failure_policy.go``, v1.36.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapter_devcluster.controllers.jobs import pods as pod_facts
from adapter_devcluster.objects import Object, key, section


@dataclass(frozen=True, slots=True)
class Verdict:
    """``action`` of the rule that matched ("" for none), and what to say where that fails the job."""

    action: str = ""
    message: str = ""

    @property
    def counts(self) -> bool:
        """Whether the failure counts towards the backoff limits."""
        return self.action != "Ignore"


def judge(rules: Sequence[Object] | None, pod: Object) -> Verdict:
    """Return the verdict of the first rule that matches a failed pod."""
    namespace, name = key(pod)
    for position, rule in enumerate(rules or ()):
        action = str(rule.get("action"))
        why = ""
        if rule.get("onExitCodes"):
            status = _matching_container(pod, rule["onExitCodes"])
            if status is None:
                continue
            code = section(status, "state", "terminated")["exitCode"]
            why = f"Container {status.get('name')} for pod {namespace}/{name} failed with exit code {code}"
        else:
            kind = _matching_condition(pod, rule.get("onPodConditions") or ())
            if kind is None:
                continue
            why = f"Pod {namespace}/{name} has condition {kind}"
        return Verdict(action, f"{why} matching {action} rule at index {position}")
    return Verdict()


def _matching_container(pod: Object, wanted: Object) -> Object | None:
    """Return the first container that ended with a code that is wanted; 0 never is. Init containers come last."""
    values = wanted.get("values") or ()
    for status in pod_facts.container_statuses(pod) + pod_facts.init_container_statuses(pod):
        code = section(status, "state", "terminated").get("exitCode")
        named = wanted.get("containerName") in (None, status.get("name"))
        if code and named and (code in values) == (wanted.get("operator") == "In"):
            return status
    return None


def _matching_condition(pod: Object, patterns: Sequence[Object]) -> str | None:
    wanted = {(one.get("type"), one.get("status") or "True") for one in patterns}
    found = section(pod, "status").get("conditions") or ()
    return next((str(one["type"]) for one in found if (one.get("type"), one.get("status")) in wanted), None)
