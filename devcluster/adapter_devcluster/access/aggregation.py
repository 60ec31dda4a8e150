"""ClusterRoles that are made of others: ``aggregationRule`` selects them, this fills in their rules.

Source: ``pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go`` (v1.36).
"""

from __future__ import annotations

from collections.abc import Iterable

from adapter_devcluster.access.rbac import CLUSTER_ROLES
from adapter_devcluster.client import Change
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.objects import Key, Object, key, labels_of
from adapter_devcluster.selectors import label_selector


class ClusterRoleAggregation(Controller):
    """Keeps the rules of aggregated roles; what somebody else writes there is overwritten."""

    def start(self) -> None:
        """Begin to watch."""
        self.watch(CLUSTER_ROLES, self._enqueue_aggregated)

    def _enqueue_aggregated(self, _: Change) -> None:
        """Any role may belong to any aggregated one, and a label may have gone: look at them all."""
        for role in self.client.list(CLUSTER_ROLES):
            if role.get("aggregationRule"):
                self.enqueue(key(role))

    def sync(self, item: Key) -> None:
        """Bring one role's rules up to date."""
        role = self.client.get(CLUSTER_ROLES, *item)
        if role is None or not role.get("aggregationRule"):
            return
        rules = aggregated_rules(role, self.client.list(CLUSTER_ROLES))
        if rules != (role.get("rules") or []):
            self.client.patch(CLUSTER_ROLES, *item, {"rules": rules})


def aggregated_rules(role: Object, roles: Iterable[Object]) -> list[Object]:
    """Return the rules of the roles that ``role`` selects: selector by selector, by name, each rule once."""
    ordered = sorted(roles, key=key)
    rules: list[Object] = []
    for raw in role["aggregationRule"].get("clusterRoleSelectors") or []:
        selector = label_selector(raw)
        for other in ordered:
            if key(other) != key(role) and selector.matches(labels_of(other)):
                rules += [rule for rule in other.get("rules") or [] if rule not in rules]
    return rules
