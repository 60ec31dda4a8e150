"""The image table, GPUs, pod addresses, service links."""

import socket
import sys
from pathlib import Path

import pytest

from adapter_devcluster.node.addresses import AddressError, PodAddresses
from adapter_devcluster.node.devices import Devices, DeviceShortage
from adapter_devcluster.node.images import ImageCommand, default_images, find_folder, find_image, image_table
from adapter_devcluster.node.service_links import api_environment, service_environment
from adapter_devcluster.objects import Object

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("reference", "module"),
    [
        ("adapter-trainer", "adapter_trainer"),
        ("adapter-trainer:1.2", "adapter_trainer"),
        ("registry.test:5000/team/adapter-server@sha256:abc", "adapter_server"),
        ("registry.test/adapter-preflight:v1@sha256:abc", "adapter_trainer.preflight"),
    ],
)
def test_the_projects_images(reference: str, module: str) -> None:
    assert find_image(reference, default_images()) == ImageCommand((sys.executable, "-m", module))


@pytest.mark.parametrize(
    "reference", ["adapter-trainer2", "busybox", "devcluster.local/hostile", "x/devcluster.local/host"]
)
def test_other_images_are_unknown(reference: str) -> None:
    assert find_image(reference, default_images()) is None


@pytest.mark.parametrize(
    "reference", ["devcluster.local/host", "devcluster.local/host:1", "devcluster.local/host@sha256:x"]
)
def test_the_image_that_is_the_machine(reference: str) -> None:
    assert find_image(reference, default_images()) == ImageCommand()


def test_the_first_pattern_counts() -> None:
    table = image_table(["registry.test/*=special", "adapter-server=/bin/sh -c 'echo $0'", "busybox="])
    assert find_image("registry.test/adapter-server:1", table) == ImageCommand(("special",))
    assert find_image("other.test/adapter-server:1", table) == ImageCommand(("/bin/sh", "-c", "echo $0"))
    assert find_image("busybox:1.36", table) == ImageCommand()
    assert find_image("adapter-trainer", table) == default_images()["adapter-trainer"]


@pytest.mark.parametrize("given", ["busybox", "=sh"])
def test_a_flag_that_can_not_be_read_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=f"--image '{given}': expected PATTERN=COMMAND"):
        image_table([given])


def test_folders_of_image_volumes() -> None:
    table = {"registry.test/models@*": Path("/models"), "base": Path("/base")}
    assert find_folder("registry.test/models@sha256:1", table) == Path("/models")
    assert find_folder("x/base:1", table) == Path("/base")
    assert find_folder("x/other:1", table) is None


def gpus(count: int, name: str = "main") -> Object:
    return {"name": name, "resources": {"limits": {"nvidia.com/gpu": str(count)}}}


def test_gpus_go_to_one_pod_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices = Devices(3)
    devices.allocate("a", {"spec": {"containers": [gpus(1), gpus(1, "second")]}})
    devices.allocate("b", {"spec": {"containers": [gpus(1), {"name": "none"}]}})
    assert devices.environment("a", "main") == {"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_VISIBLE_DEVICES": "0"}
    assert devices.environment("a", "second")["CUDA_VISIBLE_DEVICES"] == "1"
    assert devices.environment("b", "main")["CUDA_VISIBLE_DEVICES"] == "2"
    assert devices.environment("b", "none") == {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
    with pytest.raises(DeviceShortage) as raised:
        devices.allocate("c", {"spec": {"containers": [gpus(1)]}})
    assert str(raised.value) == ("Node didn't have enough resource: nvidia.com/gpu, requested: 1, used: 3, capacity: 3")
    devices.release("a")
    devices.allocate("c", {"spec": {"containers": [gpus(2)]}})
    assert devices.environment("c", "main")["CUDA_VISIBLE_DEVICES"] == "0,1"


def test_init_containers_use_the_same_gpus() -> None:
    devices = Devices(2)
    devices.allocate("a", {"spec": {"initContainers": [gpus(2, "init")], "containers": [gpus(1)]}})
    assert len(devices.environment("a", "init")["CUDA_VISIBLE_DEVICES"].split(",")) == 2


def test_gpus_are_those_that_the_node_sees_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    devices = Devices(2)
    devices.allocate("a", {"spec": {"containers": [gpus(2)]}})
    assert devices.environment("a", "main")["CUDA_VISIBLE_DEVICES"] == "5,GPU-7"


def test_addresses_are_used_again_late() -> None:
    addresses = PodAddresses("127.200.0.0/29")
    try:
        first = [addresses.allocate() for _ in range(3)]
        assert first == ["127.200.0.1", "127.200.0.2", "127.200.0.3"]
        addresses.release("127.200.0.1")
        assert [addresses.allocate() for _ in range(4)] == ["127.200.0.4", "127.200.0.5", "127.200.0.6", "127.200.0.1"]
        with pytest.raises(AddressError, match=r"127\.200\.0\.0/29 is exhausted; set a larger one \(pod_cidr\)"):
            addresses.allocate()
    finally:
        addresses.close()


def test_a_range_belongs_to_one_cluster() -> None:
    addresses = PodAddresses("127.201.0.0/24")
    try:
        with pytest.raises(AddressError, match=r"127\.201\.0\.0/24 can't be used: .*pod_cidr"):
            PodAddresses("127.201.0.0/24")
    finally:
        addresses.close()
    PodAddresses("127.201.0.0/24").close()


def test_several_clusters_find_room() -> None:
    first, second = PodAddresses(), PodAddresses()
    try:
        assert first.cidr != second.cidr
        with socket.socket() as listening:
            listening.bind((second.allocate(), 0))
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "127.0.0.1/16", "nonsense", "127.1.1.0/31"])
def test_ranges_that_are_none(cidr: str) -> None:
    with pytest.raises(AddressError, match="pod_cidr"):
        PodAddresses(cidr)


def test_service_links() -> None:
    services: list[Object] = [
        {
            "metadata": {"name": "my-db"},
            "spec": {
                "clusterIP": "127.100.0.5",
                "ports": [
                    {"name": "sql", "port": 5432, "protocol": "TCP"},
                    {"name": "web-ui", "port": 80, "protocol": "UDP"},
                ],
            },
        },
        {"metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}},
        {"metadata": {"name": "external"}, "spec": {"ports": [{"port": 1}]}},
    ]
    assert service_environment(services) == {
        "MY_DB_SERVICE_HOST": "127.100.0.5",
        "MY_DB_SERVICE_PORT": "5432",
        "MY_DB_SERVICE_PORT_SQL": "5432",
        "MY_DB_SERVICE_PORT_WEB_UI": "80",
        "MY_DB_PORT": "tcp://127.100.0.5:5432",
        "MY_DB_PORT_5432_TCP": "tcp://127.100.0.5:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "127.100.0.5",
        "MY_DB_PORT_80_UDP": "udp://127.100.0.5:80",
        "MY_DB_PORT_80_UDP_PROTO": "udp",
        "MY_DB_PORT_80_UDP_PORT": "80",
        "MY_DB_PORT_80_UDP_ADDR": "127.100.0.5",
    }


def test_where_the_api_server_is() -> None:
    env = api_environment("127.0.0.1", 6443)
    assert (env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"]) == ("127.0.0.1", "6443")
    assert env["KUBERNETES_PORT"] == "tcp://127.0.0.1:6443"
