"""How many pods each ReplicaSet of a Deployment gets next. Pure.

A change is a dictionary from the names of ReplicaSets to their new sizes, in the order in which to apply it.
``new`` is the ReplicaSet of the present template and ``old`` are all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from adapter_devcluster.controllers.deployments.revisions import desired_replicas, max_replicas
from adapter_devcluster.controllers.deployments.templates import age
from adapter_devcluster.controllers.int_or_percent import scaled_value
from adapter_devcluster.controllers.replica_sets import wanted_replicas
from adapter_devcluster.objects import Object, key, section

Sizes = dict[str, int]
_DEFAULT: Final = "25%"


def is_rolling(deployment: Object) -> bool:
    """Whether the strategy is RollingUpdate, which it is by default."""
    return bool(section(deployment, "spec", "strategy").get("type", "RollingUpdate") == "RollingUpdate")


def _limits(deployment: Object) -> tuple[int, int]:
    """Return surge and unavailability. Both zero would be a standstill: then one pod may be unavailable."""
    if not is_rolling(deployment):
        return 0, 0
    rolling = section(deployment, "spec", "strategy", "rollingUpdate")
    total = wanted_replicas(deployment)
    surge = scaled_value(rolling.get("maxSurge", _DEFAULT), total, round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable", _DEFAULT), total, round_up=False)
    return surge, (1 if surge == 0 and unavailable == 0 else min(unavailable, total))


def max_surge(deployment: Object) -> int:
    """Return how many pods there may be over ``spec.replicas``."""
    return _limits(deployment)[0]


def max_unavailable(deployment: Object) -> int:
    """Return how many pods of ``spec.replicas`` may be unavailable."""
    return min(_limits(deployment)[1], wanted_replicas(deployment))


def counted(replica_sets: Sequence[Object], field: str) -> int:
    """Return the sum of a number in the status of ReplicaSets."""
    return sum(int(section(one, "status").get(field) or 0) for one in replica_sets)


def total_size(replica_sets: Sequence[Object]) -> int:
    """Return the pods that ReplicaSets are asked to have, together."""
    return sum(map(wanted_replicas, replica_sets))


def active(replica_sets: Sequence[Object]) -> list[Object]:
    """Return those that are asked to have pods."""
    return [one for one in replica_sets if wanted_replicas(one) > 0]


def size_of_new(deployment: Object, new: Object, old: Sequence[Object]) -> int:
    """Return the size that the new ReplicaSet may have now, as far as the surge goes."""
    wanted, present = wanted_replicas(deployment), wanted_replicas(new)
    if present >= wanted or not is_rolling(deployment):
        return wanted
    room = wanted + max_surge(deployment) - total_size([new, *old])
    return present + max(0, min(room, wanted - present))


def roll(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """Return the next step of a rolling update: first the new one up, else the old ones down."""
    size = size_of_new(deployment, new, old)
    if size != wanted_replicas(new):
        return {key(new)[1]: size}
    return _shrink_old(deployment, new, old)


def _shrink_old(deployment: Object, new: Object, old: Sequence[Object]) -> Sizes:
    """Take pods that don't run away first: they serve nobody. Then others, as far as enough remain available."""
    least = wanted_replicas(deployment) - max_unavailable(deployment)
    missing = wanted_replicas(new) - counted([new], "availableReplicas")
    room = total_size([new, *old]) - least - missing
    if total_size(old) == 0 or room <= 0:
        return {}
    ordered = sorted(old, key=age)
    sizes = {key(one)[1]: wanted_replicas(one) for one in ordered}
    before = dict(sizes)
    for one in ordered:
        ailing = max(0, wanted_replicas(one) - counted([one], "availableReplicas"))
        taken = min(room, ailing)
        sizes[key(one)[1]] -= taken
        room -= taken
    # Never more than there is room for: what a ReplicaSet reports may be older than its size.
    spare = max(0, min(room, counted([new, *old], "availableReplicas") - least))
    for name, size in sizes.items():
        taken = min(spare, size)
        sizes[name] -= taken
        spare -= taken
    return {name: size for name, size in sizes.items() if size != before[name]}


def empty(replica_sets: Sequence[Object]) -> Sizes:
    """Scale down to zero whatever has pods."""
    return {key(one)[1]: 0 for one in active(replica_sets)}


def was_rescaled(deployment: Object, replica_sets: Sequence[Object]) -> bool:
    """Whether ``spec.replicas`` has changed since the ReplicaSets were scaled."""
    noted = [desired_replicas(one) for one in active(replica_sets)]
    return any(one is not None and one != wanted_replicas(deployment) for one in noted)


def rescale(deployment: Object, new: Object | None, old: Sequence[Object]) -> Sizes:
    """Return the sizes after a change of ``spec.replicas``, or while the Deployment is paused.

    In the middle of a rollout the change is shared in proportion, so that a scaled-up Deployment doesn't put
    all its weight on a template that may be bad.
    """
    every = [*([new] if new else []), *old]
    running = active(every)
    if len(running) <= 1:
        only = running[0] if running else new or max(old, key=age, default=None)
        return {key(only)[1]: wanted_replicas(deployment)} if only else {}
    if new is not None and _is_saturated(deployment, new):
        return empty(old)
    if is_rolling(deployment):
        return _share(deployment, running)
    # The sizes stay; that they are noted anew ends the rescaling.
    return {key(one)[1]: wanted_replicas(one) for one in running}


def _is_saturated(deployment: Object, new: Object) -> bool:
    wanted = wanted_replicas(deployment)
    found = (wanted_replicas(new), desired_replicas(new), counted([new], "availableReplicas"))
    return found == (wanted, wanted, wanted)


def _share(deployment: Object, running: Sequence[Object]) -> Sizes:
    wanted = wanted_replicas(deployment)
    allowed = wanted + max_surge(deployment) if wanted > 0 else 0
    total = allowed - total_size(running)
    # The larger first; among equal ones the newer grow and the older shrink first.
    ordered = sorted(sorted(running, key=age, reverse=total > 0), key=wanted_replicas, reverse=True)
    sizes, added = {}, 0
    for one in ordered:
        share = _fraction(deployment, one) if total != added else 0
        share = min(share, total - added) if total > 0 else max(share, total - added)
        sizes[key(one)[1]] = wanted_replicas(one) + share
        added += share
    largest = key(ordered[0])[1]
    sizes[largest] = max(0, sizes[largest] + total - added)
    return sizes


def _fraction(deployment: Object, replica_set: Object) -> int:
    """Return what one ReplicaSet would gain or lose if all changed by the same factor."""
    present, wanted = wanted_replicas(replica_set), wanted_replicas(deployment)
    if wanted == 0:
        return -present
    before = max_replicas(replica_set) or counted([deployment], "replicas")
    if before == 0:
        return 0
    grown = present * (wanted + max_surge(deployment)) / before
    return math.floor(grown + 0.5) - present
