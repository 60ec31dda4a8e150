"""Everything that kube-controller-manager is here."""

from __future__ import annotations

from adapter_devcluster.access.aggregation import ClusterRoleAggregation
from adapter_devcluster.client import Client
from adapter_devcluster.controllers.base import Controller
from adapter_devcluster.controllers.deployments import DeploymentController
from adapter_devcluster.controllers.disruption import DisruptionController
from adapter_devcluster.controllers.endpoint_slices import EndpointSliceController
from adapter_devcluster.controllers.garbage import GarbageCollector
from adapter_devcluster.controllers.jobs import JobController, TtlController
from adapter_devcluster.controllers.namespaces import NamespaceController
from adapter_devcluster.controllers.persistent_volumes import VolumeController
from adapter_devcluster.controllers.pod_gc import PodGarbageCollector
from adapter_devcluster.controllers.replica_sets import ReplicaSetController
from adapter_devcluster.controllers.resource_quotas import ResourceQuotaController
from adapter_devcluster.controllers.service_accounts import RootCaController, ServiceAccountController


def start_controllers(client: Client, *, with_node: bool, root_ca: str = "") -> list[Controller]:
    """Start all controllers on the running event loop, and return them to be stopped.

    ``with_node``: claims of volumes are bound, because there is a node that can mount them. ``root_ca`` is the
    certificate in PEM by which pods know the API server.
    """
    controllers: list[Controller] = [
        NamespaceController(client),
        ServiceAccountController(client),
        RootCaController(client, root_ca),
        ClusterRoleAggregation(client),
        ReplicaSetController(client),
        DeploymentController(client),
        JobController(client),
        TtlController(client),
        PodGarbageCollector(client),
        EndpointSliceController(client),
        DisruptionController(client),
        ResourceQuotaController(client),
        VolumeController(client, with_node=with_node),
        GarbageCollector(client),
    ]
    for controller in controllers:
        controller.start()
    return controllers
