"""What the processes of pods see: environment, volumes and their updates, with namespaces and without."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.objects import Object, meta
from adapter_testing.node_lab import NAMESPACE, NodeLab, with_node

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("namespaces", ["auto", "off"])
# Prints a file each time that it changes.
FOLLOW = """
old=
while :; do
    new=$(cat {0} 2>/dev/null)
    if [ "$new" != "$old" ]; then old=$new; echo "= $new"; fi
    sleep 0.01
done
"""


def mounting(name: str, path: str, **source: Any) -> Object:
    return {"main": {"volumeMounts": [{"name": name, "mountPath": path}]}, "volumes": [{"name": name, **source}]}


@BOTH
def test_the_environment(tmp_path: Path, namespaces: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leaked")

    async def work(lab: NodeLab) -> None:
        ports = [{"port": 80}]
        service = lab.create("services", "Service", "web", spec={"ports": ports})
        env = [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "SELF", "value": "$(IP)!"},
        ]
        code = "import json, os; print(json.dumps(dict(os.environ)))"
        lab.pod("p", main={"command": ["python", "-c", code], "env": env})
        await lab.phase("p", "Succeeded")
        found = json.loads(await lab.log("p"))
        address = lab.get("p")["status"]["podIP"]
        assert found["ADAPTER_BIND_ADDRESS"] == found["IP"] == address
        assert (found["SELF"], found["NODE"], found["HOSTNAME"]) == (f"{address}!", "devcluster", "p")
        assert (found["KUBERNETES_SERVICE_HOST"], found["KUBERNETES_SERVICE_PORT"]) == ("127.0.0.1", "6443")
        assert found["WEB_SERVICE_HOST"] == service["spec"]["clusterIP"]
        assert found["CUDA_VISIBLE_DEVICES"] == ""
        assert "AWS_SECRET_ACCESS_KEY" not in found
        assert Path(found["TMPDIR"]) == Path(found["HOME"], "tmp")
        assert found["HOME"].startswith("/home/container" if namespaces == "auto" else str(tmp_path / "pods"))
        lab.pod("q", "env", enableServiceLinks=False)
        await lab.phase("q", "Succeeded")
        said = await lab.log("q")
        assert "WEB_SERVICE_HOST" not in said
        assert "KUBERNETES_SERVICE_HOST=127.0.0.1" in said

    with_node(work, tmp_path, namespaces=namespaces)


@BOTH
def test_volumes_where_the_pod_wants_them(tmp_path: Path, namespaces: str) -> None:
    async def work(lab: NodeLab) -> None:
        lab.config_map("c", a="from the config map")
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        lab.create("persistentvolumeclaims", "PersistentVolumeClaim", "data", spec=claim)
        models = tmp_path / "models"
        models.mkdir()
        (models / "weights").write_text("w")
        volumes = [
            {"name": "c", "configMap": {"name": "c"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "models", "image": {"reference": "registry.test/models:1"}},
        ]
        mounts = [
            {"name": "c", "mountPath": "/etc/adapter"},
            {"name": "data", "mountPath": "/data"},
            {"name": "scratch", "mountPath": "/scratch", "subPath": "sub"},
            {"name": "models", "mountPath": "/models"},
        ]
        script = "cat /etc/adapter/a; cat $MODELS/weights; echo kept > /data/file; cd /scratch && pwd; echo bye > $1"
        main = {
            "command": ["sh", "-c", script],
            "args": ["sh", "/dev/termination-log"],
            "env": [{"name": "MODELS", "value": "/models"}],
            "volumeMounts": mounts,
            "workingDir": "/data",
        }
        lab.pod("p", main=main, volumes=volumes)
        await lab.phase("p", "Succeeded", "Failed")
        said = await lab.log("p")
        assert said.startswith("from the config mapw")
        assert said.endswith("/scratch\n" if namespaces == "auto" else "/volumes/scratch/sub\n")
        assert lab.container("p")["state"]["terminated"]["message"] == "bye\n"
        assert (tmp_path / "node/claims" / NAMESPACE / "data/file").read_text() == "kept\n"

    with_node(work, tmp_path / "node", namespaces=namespaces, image_volumes={"models": tmp_path / "models"})
    assert not Path("/data").exists()


@BOTH
def test_a_config_map_that_changes_is_seen_at_once(tmp_path: Path, namespaces: str) -> None:
    async def work(lab: NodeLab) -> None:
        lab.config_map("c", a="one")
        lab.pod("p", FOLLOW.format("/cfg/a"), **mounting("c", "/cfg", configMap={"name": "c"}))
        await lab.logged_when_running("p", "= one")
        lab.config_map("c", a="two")
        await lab.logged("p", "= two")
        lab.client.delete("configmaps", NAMESPACE, "c")
        await lab.until(lambda: any('configmap "c" not found' in text for _, text in lab.events("p")))
        lab.config_map("c", a="three")
        await lab.logged("p", "= three")
        assert await lab.log("p") == "= one\n= two\n= three\n"

    with_node(work, tmp_path, namespaces=namespaces)


def test_with_the_real_kubelets_delay_an_annotation_brings_the_change(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.config_map("c", a="one")
        lab.pod("p", FOLLOW.format("/cfg/a"), **mounting("c", "/cfg", configMap={"name": "c"}))
        await lab.logged_when_running("p", "= one")
        lab.config_map("c", a="two")
        lab.client.patch("pods", NAMESPACE, "p", {"status": {"message": "no nudge"}}, "status")
        lab.pod("q", "exit 0")
        await lab.phase("q", "Succeeded")
        assert await lab.log("p") == "= one\n"
        nudge = {"metadata": {"annotations": {"adapters.dev/set": "2"}}}
        lab.client.patch("pods", NAMESPACE, "p", nudge, "status")
        await lab.logged("p", "= two")

    with_node(work, tmp_path, volume_update_seconds=600)


def test_with_the_real_kubelets_delay_the_period_brings_the_change(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.config_map("c", a="one")
        lab.pod("p", FOLLOW.format("/cfg/a"), **mounting("c", "/cfg", configMap={"name": "c"}))
        await lab.logged_when_running("p", "= one")
        lab.config_map("c", a="two")
        await lab.logged("p", "= two")

    with_node(work, tmp_path, volume_update_seconds=0.2)


def test_a_sub_path_is_not_updated(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.config_map("c", a="one")
        whole = mounting("c", "/cfg", configMap={"name": "c"})
        whole["main"]["volumeMounts"].append({"name": "c", "mountPath": "/one.txt", "subPath": "a"})
        lab.pod("p", "echo up; until grep -q two /cfg/a; do sleep 0.01; done; cat /one.txt", **whole)
        await lab.logged_when_running("p", "up")
        lab.config_map("c", a="two")
        await lab.phase("p", "Succeeded")
        assert await lab.log("p") == "up\none"

    with_node(work, tmp_path)


def test_the_service_account(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        path = "/var/run/secrets/kubernetes.io/serviceaccount"
        lab.pod("p", f"cd {path} && cat namespace ca.crt && echo && cat token")
        await lab.phase("p", "Succeeded")
        said, token = (await lab.log("p")).split("\n")
        assert said == f"{NAMESPACE}the authority"
        user = lab.api.authenticator.authenticate(token)
        assert user is not None
        assert user.name == f"system:serviceaccount:{NAMESPACE}:default"
        assert user.extra["authentication.kubernetes.io/pod-uid"] == (meta(lab.get("p"))["uid"],)
        lab.pod("q", f"ls {path}", automountServiceAccountToken=False)
        await lab.phase("q", "Failed")

    with_node(work, tmp_path)


def test_a_volume_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "cat /key/k", **mounting("s", "/key", secret={"secretName": "s"}))
        message = 'MountVolume.SetUp failed for volume "s" : secret "s" not found'
        await lab.until(lambda: ("FailedMount", message) in lab.events("p"))
        assert lab.container("p")["state"] == {"waiting": {"reason": "ContainerCreating"}}
        assert lab.condition("p", "PodReadyToStartContainers")["status"] == "False"
        lab.create("secrets", "Secret", "s", data={"k": "djEK"})
        await lab.phase("p", "Succeeded")
        assert await lab.log("p") == "v1\n"

    with_node(work, tmp_path)


def test_an_image_volume_that_is_missing(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "exit 0", **mounting("m", "/m", image={"reference": "registry.test/no:1"}))
        await lab.until(lambda: lab.waiting("p").get("reason") == "ImagePullBackOff")
        assert "registry.test/no:1" in lab.container("p")["state"]["waiting"]["message"]

    with_node(work, tmp_path, restart_backoff_seconds=0.01)


def test_a_mount_that_can_not_be_made_ends_the_container(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "exit 0", **mounting("e", "/etc/hostname", emptyDir={}))
        await lab.phase("p", "Failed")
        message = lab.container("p")["state"]["terminated"]["message"]
        assert message.endswith("/etc/hostname: the volume is a directory, and the host has a file there")

    with_node(work, tmp_path)


@BOTH
def test_a_working_directory_that_is_not_there_is_made_for_the_container(tmp_path: Path, namespaces: str) -> None:
    async def work(lab: NodeLab) -> None:
        lab.pod("p", "touch here && pwd", main={"workingDir": "workspace/job"})
        await lab.phase("p", "Succeeded")
        said = await lab.log("p")
        assert said == "/workspace/job\n" if namespaces == "auto" else said.endswith("/work\n")

    with_node(work, tmp_path, namespaces=namespaces)
    assert not Path("/workspace").exists()


def test_what_is_mounted_at_tmp_is_used_for_temporary_files(tmp_path: Path) -> None:
    async def work(lab: NodeLab) -> None:
        there = "/tmp"  # noqa: S108 - in the pod
        lab.pod("p", "echo ${TMPDIR-none}; touch /tmp/x; ls /tmp", **mounting("t", there, emptyDir={}))
        await lab.phase("p", "Succeeded")
        assert await lab.log("p") == "none\nx\n"

    with_node(work, tmp_path)


def test_containers_share_volumes_and_gpus_are_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    async def work(lab: NodeLab) -> None:
        whole = mounting("e", "/shared", emptyDir={})
        init = {"name": "init", "image": "devcluster.local/host", "command": ["sh", "-c", "echo hello > /shared/x"]}
        init["volumeMounts"] = whole["main"]["volumeMounts"]
        whole["main"]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
        lab.pod("p", "cat /shared/x; echo gpu $CUDA_VISIBLE_DEVICES", initContainers=[init], **whole)
        await lab.phase("p", "Succeeded")
        assert await lab.log("p") == "hello\ngpu 0\n"

    with_node(work, tmp_path, gpus=1)
