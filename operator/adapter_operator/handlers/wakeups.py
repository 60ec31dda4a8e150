"""Who must be looked at when an object changes: its owner by label, and whoever refers to a training."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapter_operator.api.v1alpha1.labels import DEPLOYMENT, TRAINING
from adapter_operator.handlers.kinds import ADAPTER_DEPLOYMENTS, ADAPTER_TRAININGS
from adapter_operator.runtime.objects import Key, Object, is_being_deleted, key_of, uid_of
from adapter_operator.runtime.resources import CONTROLLER_REVISIONS
from adapter_operator.runtime.store import Change

_WHOLE_NAMESPACE: Final = ""
"""In place of a training's name: a selector may choose any of the namespace."""


class Wakeups:
    """Turns changes into keys; remembers which object refers to which training."""

    def __init__(self) -> None:
        self._references: dict[Key, frozenset[tuple[str, str]]] = {}
        self._referrers: dict[tuple[str, str], dict[Key, None]] = {}

    def keys(self, change: Change) -> set[Key]:
        """The keys to look at after a change."""
        obj = change.object
        key = key_of(obj)
        if key.kind in {ADAPTER_TRAININGS.kind, ADAPTER_DEPLOYMENTS.kind}:
            self._remember(key, frozenset(_referred(change.after)) if change.after is not None else frozenset())
            woken = {key}
            if key.kind == ADAPTER_TRAININGS.kind and _seen(change.before) != _seen(change.after):
                woken |= self._followers(key.namespace, key.name)
            return woken
        woken = set(labelled_owners(obj))
        if key.kind == CONTROLLER_REVISIONS.kind:
            for owner in [*woken]:
                woken |= self._followers(owner.namespace, owner.name)
        return woken

    def _followers(self, namespace: str, name: str) -> set[Key]:
        places = ((namespace, name), (namespace, _WHOLE_NAMESPACE))
        return {key for place in places for key in self._referrers.get(place, ())}

    def _remember(self, key: Key, wanted: frozenset[tuple[str, str]]) -> None:
        known = self._references.pop(key, frozenset())
        for place in known - wanted:
            del self._referrers[place][key]
            if not self._referrers[place]:
                del self._referrers[place]
        for place in wanted - known:
            self._referrers.setdefault(place, {})[key] = None
        if wanted:
            self._references[key] = wanted


def referred_trainings(obj: Object) -> Iterator[tuple[str, str]]:
    """Namespace and name of each training that a resource names."""
    return (place for place in _referred(obj) if place[1] != _WHOLE_NAMESPACE)


def _referred(obj: Object) -> Iterator[tuple[str, str]]:
    namespace, spec = obj["metadata"]["namespace"], obj.get("spec") or {}
    start = ((spec.get("initializeFrom") or {}).get("training") or {}).get("name")
    if start:
        yield namespace, start
    for adapter in spec.get("adapters") or ():
        training = (adapter.get("source") or {}).get("training")
        if training:
            yield training.get("namespace") or namespace, training["name"]
    if spec.get("adapterSelector"):
        yield namespace, _WHOLE_NAMESPACE


def labelled_owners(obj: Object) -> Iterator[Key]:
    """The resources that an object belongs to, by its labels."""
    labels, namespace = obj["metadata"].get("labels") or {}, obj["metadata"].get("namespace") or ""
    if TRAINING in labels:
        yield Key(ADAPTER_TRAININGS.kind, namespace, labels[TRAINING])
    if DEPLOYMENT in labels:
        yield Key(ADAPTER_DEPLOYMENTS.kind, namespace, labels[DEPLOYMENT])


def _seen(training: Object | None) -> Mapping[str, Any] | None:
    """What others can see of a training: all but its progress, which changes all the time."""
    if training is None:
        return None
    status = training.get("status") or {}
    return {
        "uid": uid_of(training),
        "labels": training["metadata"].get("labels"),
        "deleting": is_being_deleted(training),
        "sharing": (training.get("spec") or {}).get("sharing"),
        "reasons": [one["reason"] for one in status.get("conditions") or () if one["type"] == "Ready"],
        **{name: status.get(name) for name in ("adapter", "versions", "resolved")},
    }
