"""Deployments and ReplicaSets as a rollout finds them."""

import datetime as dt

from adapter_devcluster.objects import timestamp

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
TEMPLATE = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}


def deployment(replicas=4, surge=1, unavailable=0, **spec):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "ns", "uid": "u", "generation": 2},
        "spec": {
            "replicas": replicas,
            "strategy": strategy,
            "selector": {"matchLabels": {"app": "d"}},
            "template": TEMPLATE,
            **spec,
        },
    }


def replica_set(name, size, available=None, created=0, annotations=None, **counts):
    counts = {"availableReplicas": size if available is None else available, "replicas": size, **counts}
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "generation": 1,
            "creationTimestamp": timestamp(NOW + dt.timedelta(seconds=created)),
            "annotations": annotations or {},
        },
        "spec": {"replicas": size, "template": TEMPLATE},
        "status": {**counts, "observedGeneration": 1},
    }
