"""What a pod asks for (``k8s.io/component-helpers/resource/helpers.go``, v0.36).

It is the larger of two sums: of its containers and sidecars, and of each init container with the sidecars that
started before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from adapter_devcluster.builtin.quantities import value_of
from adapter_devcluster.objects import Object, section

Amounts = dict[str, Fraction]


def amounts(raw: Mapping[str, str]) -> Amounts:
    """Read a map of resource names to quantities. Raises QuantityError."""
    return {name: value_of(text) for name, text in raw.items()}


def added(first: Amounts, second: Amounts) -> Amounts:
    """Add two sums."""
    return {name: first.get(name, Fraction()) + second.get(name, Fraction()) for name in {**first, **second}}


def requests_of(holder: Object) -> Amounts:
    """Return what the ``resources`` of a container or a pod ask for; where there is only a limit, that is meant."""
    resources = section(holder, "resources")
    return amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def pod_requests(pod: Object) -> Amounts:
    """Return what a pod asks for, each pod counting as one of ``pods``."""
    spec = section(pod, "spec")
    sidecars: Amounts = {}
    at_once: list[Amounts] = []
    for container in spec.get("initContainers") or []:
        asked = requests_of(container)
        if container.get("restartPolicy") == "Always":
            sidecars = added(sidecars, asked)
            at_once.append(sidecars)
        else:
            at_once.append(added(sidecars, asked))
    main = sidecars
    for container in spec.get("containers") or []:
        main = added(main, requests_of(container))
    # Where the whole pod's resources are given, they count.
    total = {**_largest([*at_once, main]), **requests_of(spec)}
    return {**added(total, amounts(spec.get("overhead") or {})), "pods": Fraction(1)}


def _largest(sums: Iterable[Amounts]) -> Amounts:
    largest: Amounts = {}
    for one in sums:
        for name, amount in one.items():
            largest[name] = max(amount, largest.get(name, Fraction()))
    return largest
