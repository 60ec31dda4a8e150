"""A cluster for all tests of a module, and the client on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.serving.faults import FaultPlan
from adapter_testing.api_client_lab import ApiClientLab, install_widgets


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False) as found:
        install_widgets(found)
        yield found


@pytest.fixture
def api(cluster: DevCluster) -> Iterator[ApiClientLab]:
    yield ApiClientLab(cluster)
    cluster.set_faults(FaultPlan())
    cluster.resume()
