"""Starting and stopping a cluster in a thread, also where that fails half-way."""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from adapter_devcluster.cluster import _SERVICE_RANGES
from adapter_devcluster.devcluster import DevCluster
from adapter_devcluster.loopback import LoopbackRange, RangeError
from adapter_devcluster.node import NodeError

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def leavings(temporary: Path) -> tuple[list[str], list[str]]:
    threads = [one.name for one in threading.enumerate() if one.name == "devcluster"]
    return threads, [one.name for one in temporary.iterdir()]


def test_a_cluster_leaves_nothing_behind_and_may_be_stopped_twice(temporary: Path) -> None:
    with DevCluster(node=False) as cluster:
        assert cluster.kubeconfig.parent.parent == temporary
        cluster.stop()
    cluster.stop()
    assert leavings(temporary) == ([], [])
    with pytest.raises(RuntimeError, match="the cluster is not running"):
        _ = cluster.url


def test_a_directory_of_ones_own_is_kept(temporary: Path) -> None:
    with DevCluster(directory=temporary / "own", node=False):
        pass
    assert (temporary / "own" / "kubeconfig").exists()


def test_options_that_are_none_leave_nothing_behind(temporary: Path) -> None:
    with pytest.raises(TypeError):
        DevCluster(nodes=3)
    assert leavings(temporary) == ([], [])


def test_a_cluster_that_can_not_be_made_leaves_nothing_behind(temporary: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DevCluster(audit_log=temporary / "none" / "audit.log").start()
    assert leavings(temporary) == ([], [])


def test_a_cluster_whose_port_is_taken_leaves_nothing_behind(temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="address already in use"):
        DevCluster(port=taken.getsockname()[1]).start()
    assert leavings(temporary) == ([], [])


def test_a_cluster_without_room_for_services_leaves_nothing_behind(temporary: Path) -> None:
    ranges = []
    try:
        for one in _SERVICE_RANGES:
            # What another cluster of this machine has is taken as well.
            with suppress(RangeError):
                ranges.append(LoopbackRange([one]))
        with pytest.raises(RangeError, match="can't be used"):
            DevCluster(audit_log=temporary / "audit.log").start()
    finally:
        for one in ranges:
            one.close()
    assert leavings(temporary) == ([], ["audit.log"])


def test_a_node_that_can_not_start_takes_all_down_with_it(temporary: Path) -> None:
    (temporary / "own").mkdir()
    (temporary / "own" / "node").write_text("in the way")
    with pytest.raises(NodeError, match="can't be used"):
        DevCluster(directory=temporary / "own").start()
    assert leavings(temporary) == ([], ["own"])
