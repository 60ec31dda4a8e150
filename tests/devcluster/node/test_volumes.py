"""Folders behind volumes: what is in them, how they change, what is refused."""

import base64
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_devcluster.node.mount_plan import Mount
from adapter_devcluster.node.volumes import MissingImage, PodVolumes, VolumeContext, VolumeError
from adapter_devcluster.node.volumes.atomic_writer import AtomicFolder, File
from adapter_devcluster.node.volumes.container_mounts import volume_mounts
from adapter_devcluster.node.volumes.pod_volumes import SERVICE_ACCOUNT_PATH, VolumeSource, shows, with_service_account
from adapter_devcluster.objects import Object
from adapter_devcluster.statuses import not_found

pytestmark = pytest.mark.unit


@dataclass
class Issued:
    token: str
    expires: float


@dataclass
class Issuer:
    """Gives out numbered tokens."""

    life: float = 3600.0
    asked: list[tuple[str, int]] = field(default_factory=list)
    accounts: bool = True

    def issue_for_pod(self, pod: Object, audience: str = "", expiration_seconds: int = 3600) -> Issued:
        if not self.accounts:
            raise not_found("serviceaccounts", pod["spec"].get("serviceAccountName", "default"))
        self.asked.append((audience, expiration_seconds))
        return Issued(f"token-{len(self.asked)}", time.time() + self.life)


@dataclass
class Lab:
    folder: Path
    stored: dict[tuple[str, str], Object] = field(default_factory=dict)
    issuer: Issuer = field(default_factory=Issuer)
    images: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.volumes = PodVolumes(
            VolumeContext(
                lookup=lambda resource, _, name: self.stored.get((resource, name)),
                tokens=self.issuer,
                allocatable={"memory": "8Gi"},
                claims=self.folder / "claims",
                image_volumes=self.images,
                api_ca="authority",
            ),
            self.folder / "volumes",
        )

    def config_map(self, name: str, **data: str) -> None:
        self.stored["configmaps", name] = {"kind": "ConfigMap", "data": data}

    def prepare(self, *volumes: Object, **pod: Any) -> Object:
        whole = self.pod(*volumes, **pod)
        self.volumes.prepare(whole)
        return whole

    def pod(self, *volumes: Object, **pod: Any) -> Object:
        named = [{"name": f"v{number}", **one} for number, one in enumerate(volumes)]
        metadata = {"name": "p", "namespace": "ns", "uid": "u", **pod}
        return {"metadata": metadata, "spec": {"volumes": named, "containers": [{"name": "main"}]}}

    def files(self, name: str = "v0") -> dict[str, str]:
        """What programs find in a volume, through its links."""
        root = self.volumes.sources[name].path
        visible = [path.resolve() for path in root.iterdir() if not path.name.startswith("..")]
        files = [file for path in visible for file in [path, *path.rglob("*")] if file.is_file()]
        return {str(file.relative_to((root / "..data").resolve())): file.read_text() for file in files}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_config_map_is_its_keys(lab: Lab) -> None:
    lab.config_map("c", a="1", b="2")
    lab.prepare({"configMap": {"name": "c", "defaultMode": 0o440}})
    assert lab.files() == {"a": "1", "b": "2"}
    source = lab.volumes.sources["v0"]
    assert source.read_only
    assert stat.S_IMODE((source.path / "a").stat().st_mode) == 0o440
    assert str((source.path / "a").readlink()) == "..data/a"


def test_items_choose_keys_paths_and_modes(lab: Lab) -> None:
    lab.stored["secrets", "s"] = {"kind": "Secret", "data": {"k": base64.b64encode(b"bytes").decode(), "l": ""}}
    lab.prepare({"secret": {"secretName": "s", "items": [{"key": "k", "path": "deep/er/key", "mode": 0o400}]}})
    path = lab.volumes.sources["v0"].path / "deep/er/key"
    assert path.read_bytes() == b"bytes"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert list(lab.files()) == ["deep/er/key"]


def test_what_is_optional_may_be_missing_and_come_later(lab: Lab) -> None:
    pod = lab.prepare({"configMap": {"name": "c", "optional": True, "items": [{"key": "a", "path": "a"}]}})
    assert lab.files() == {}
    lab.config_map("c", b="2")
    lab.volumes.refresh(pod)
    assert lab.files() == {}
    lab.config_map("c", a="1")
    lab.volumes.refresh(pod)
    assert lab.files() == {"a": "1"}


@pytest.mark.parametrize(
    ("volume", "problem"),
    [
        ({"configMap": {"name": "no"}}, 'configmap "no" not found'),
        ({"secret": {"secretName": "no"}}, 'secret "no" not found'),
        ({"configMap": {"name": "c", "items": [{"key": "x", "path": "x"}]}}, "references non-existent config key: x"),
        (
            {"secret": {"secretName": "s", "items": [{"key": "x", "path": "x"}]}},
            "references non-existent secret key: x",
        ),
        ({"persistentVolumeClaim": {"claimName": "no"}}, 'persistentvolumeclaim "no" not found'),
        ({"hostPath": {"path": "/no/such"}}, "hostPath type check failed: /no/such is not there"),
        (
            {"hostPath": {"path": "/etc/hostname", "type": "Directory"}},
            "hostPath type check failed: /etc/hostname is not a directory",
        ),
        ({"nfs": {"server": "x", "path": "/"}}, "volumes of type nfs are not supported by this node"),
        (
            {"projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}},
            "the projected volume source clusterTrustBundle is not supported by this node",
        ),
        (
            {"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "spec.x"}}]}},
            "unsupported fieldPath: spec.x",
        ),
    ],
)
def test_what_keeps_a_volume_from_being_made_is_told(lab: Lab, volume: Object, problem: str) -> None:
    lab.config_map("c", a="1")
    lab.stored["secrets", "s"] = {"kind": "Secret"}
    with pytest.raises(VolumeError) as raised:
        lab.prepare(volume)
    assert str(raised.value) == f'MountVolume.SetUp failed for volume "v0" : {problem}'


def test_preparing_goes_on_where_it_stopped(lab: Lab) -> None:
    lab.config_map("a", x="1")
    pod = lab.pod({"configMap": {"name": "a"}}, {"configMap": {"name": "b"}})
    with pytest.raises(VolumeError):
        lab.volumes.prepare(pod)
    lab.config_map("b", y="2")
    lab.volumes.prepare(pod)
    assert (lab.files("v0"), lab.files("v1")) == ({"x": "1"}, {"y": "2"})


def test_a_refresh_that_fails_for_one_volume_updates_the_others(lab: Lab) -> None:
    lab.config_map("a", x="1")
    lab.config_map("b", y="1")
    pod = lab.prepare({"configMap": {"name": "a"}}, {"configMap": {"name": "b"}})
    del lab.stored["configmaps", "a"]
    lab.config_map("b", y="2")
    with pytest.raises(VolumeError, match='configmap "a" not found'):
        lab.volumes.refresh(pod)
    assert (lab.files("v0"), lab.files("v1")) == ({"x": "1"}, {"y": "2"})


def test_a_projected_volume_is_all_its_sources(lab: Lab) -> None:
    lab.config_map("c", a="1")
    lab.stored["secrets", "s"] = {"kind": "Secret", "data": {"b": base64.b64encode(b"2").decode()}}
    sources = [
        {"configMap": {"name": "c"}},
        {"secret": {"name": "s", "items": [{"key": "b", "path": "sub/b"}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}},
    ]
    lab.prepare({"projected": {"sources": sources}})
    assert lab.files() == {"a": "1", "name": "p", "sub/b": "2", "token": "token-1"}
    assert lab.issuer.asked == [("vault", 600)]


def test_the_downward_api(lab: Lab) -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {
            "path": "memory",
            "resourceFieldRef": {"containerName": "main", "resource": "limits.memory", "divisor": "1Gi"},
        },
    ]
    pod = lab.prepare({"downwardAPI": {"items": items}}, labels={"a": "1"})
    assert lab.files() == {"labels": 'a="1"', "memory": "8"}
    pod["metadata"]["labels"] = {"a": "2"}
    lab.volumes.refresh(pod)
    assert lab.files() == {"labels": 'a="2"', "memory": "8"}


def test_tokens_are_renewed_after_four_fifths_of_their_life(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = lab.prepare({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}})
    assert lab.volumes.renew_in() == pytest.approx(2880, abs=5)
    now = time.time()
    for later, token in ((2800, "token-1"), (2900, "token-2")):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        lab.volumes.refresh(pod)
        assert lab.files() == {"token": token}


def test_a_long_lived_token_is_renewed_daily(lab: Lab) -> None:
    lab.issuer.life = 30 * 24 * 3600.0
    lab.prepare({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}})
    assert lab.volumes.renew_in() == pytest.approx(24 * 3600, abs=5)


def test_volumes_without_tokens_need_no_renewal(lab: Lab) -> None:
    lab.prepare({"emptyDir": {}})
    assert lab.volumes.renew_in() is None


def test_an_account_that_is_missing_is_told(lab: Lab) -> None:
    lab.issuer.accounts = False
    with pytest.raises(VolumeError, match='serviceaccounts "default" not found'):
        lab.prepare({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}})


def test_an_empty_dir_goes_with_the_pod_and_a_claim_stays(lab: Lab) -> None:
    lab.stored["persistentvolumeclaims", "data"] = {}
    lab.prepare({"emptyDir": {"medium": "Memory"}}, {"persistentVolumeClaim": {"claimName": "data", "readOnly": True}})
    empty, claim = lab.volumes.sources["v0"], lab.volumes.sources["v1"]
    assert (empty.read_only, claim) == (False, VolumeSource(lab.folder / "claims/ns/data", read_only=True))
    assert stat.S_IMODE(empty.path.stat().st_mode) == 0o777
    (claim.path / "kept").touch()
    lab.volumes.remove()
    assert (empty.path.exists(), (claim.path / "kept").exists()) == (False, True)


def test_a_host_path_is_made_only_where_that_is_asked_for(lab: Lab) -> None:
    folder, file = lab.folder / "new/folder", lab.folder / "file"
    lab.prepare(
        {"hostPath": {"path": str(folder), "type": "DirectoryOrCreate"}},
        {"hostPath": {"path": str(file), "type": "FileOrCreate"}},
        {"hostPath": {"path": "/etc/hostname"}},
    )
    assert (folder.is_dir(), file.is_file()) == (True, True)
    assert lab.volumes.sources["v2"].path == Path("/etc/hostname").resolve()


def test_image_volumes(lab: Lab) -> None:
    lab.images |= {"models": lab.folder, "broken": lab.folder / "none"}
    lab.prepare({"image": {"reference": "registry.test/models:1"}})
    assert lab.volumes.sources["v0"] == VolumeSource(lab.folder, read_only=True)
    for reference, problem in (
        ("other:1", "no folder stands for it; name one (image_volumes)"),
        ("broken:1", f"the folder {lab.folder}/none that stands for it (image_volumes) is not there"),
    ):
        with pytest.raises(MissingImage) as raised:
            lab.volumes.prepare(lab.pod({"emptyDir": {}}, {"image": {"reference": reference}}))
        assert str(raised.value) == f'failed to pull and unpack image "{reference}": {problem}'
        assert raised.value.reference == reference


def test_which_objects_a_pod_shows(lab: Lab) -> None:
    pod = lab.pod(
        {"configMap": {"name": "c"}}, {"projected": {"sources": [{"secret": {"name": "s"}}]}}, {"emptyDir": {}}
    )
    cases = [("configmaps", "c"), ("secrets", "s"), ("secrets", "c"), ("configmaps", "s")]
    assert [shows(pod, *one) for one in cases] == [True, True, False, False]


NAMES = st.sampled_from(["a", "b", "dir/c", "dir/d", "e"])
CONTENTS = st.dictionaries(NAMES, st.binary(max_size=5).map(File), max_size=5)


@given(st.lists(CONTENTS, min_size=1, max_size=6))
def test_a_folder_is_what_was_written_last(
    tmp_path_factory: pytest.TempPathFactory, versions: list[dict[str, File]]
) -> None:
    root = tmp_path_factory.mktemp("atomic")
    folder = AtomicFolder(root)
    for version in versions:
        folder.write(version)
        found = {
            name: (root / name).read_bytes() for name in ("a", "b", "dir/c", "dir/d", "e") if (root / name).exists()
        }
        assert found == {name: file.data for name, file in version.items()}
        # One folder of data, the link to it, and a link for each first part of a path: nothing else stays.
        links = {name.partition("/")[0] for name in version}
        assert len(list(root.iterdir())) == 2 + len(links)
        assert not folder.write(version)


def test_readers_never_see_a_mixture(tmp_path: Path) -> None:
    folder = AtomicFolder(tmp_path)
    folder.write({"a": File(b"0"), "b": File(b"0")})
    stop = threading.Event()
    torn = []

    def read() -> None:
        while not stop.is_set():
            data = (tmp_path / "..data").resolve()
            try:
                pair = (data / "a").read_bytes(), (data / "b").read_bytes()
            except FileNotFoundError:
                continue  # the version has been replaced while it was read
            if pair[0] != pair[1]:
                torn.append(pair)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        folder.write({"a": File(b"%d" % number), "b": File(b"%d" % number)})
    stop.set()
    reader.join()
    assert torn == []


def test_mounts_of_a_container(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "file").touch()
    sources = {"v": VolumeSource(volume), "ro": VolumeSource(volume, read_only=True)}
    mounts = [
        {"name": "v", "mountPath": "/data/"},
        {"name": "v", "mountPath": "relative", "readOnly": True},
        {"name": "ro", "mountPath": "/f", "subPath": "file"},
        {"name": "v", "mountPath": "/g", "subPathExpr": "new/$(POD)"},
    ]
    found = volume_mounts({"volumeMounts": mounts}, sources, {"POD": "p"}, follow_links=True)
    assert found == [
        Mount("/data", volume),
        Mount("/relative", volume, read_only=True),
        Mount("/f", volume / "file", read_only=True),
        Mount("/g", volume / "new/p"),
    ]
    assert (volume / "new/p").is_dir()


@pytest.mark.parametrize(
    ("mount", "problem"),
    [
        ({"name": "none", "mountPath": "/x"}, "no volume is named none"),
        ({"name": "v", "mountPath": "/x", "subPath": "link/x"}, "subPath 'link/x' leads out of its volume"),
        (
            {"name": "ro", "mountPath": "/x", "subPath": "absent"},
            "failed to create subPath directory 'absent': read-only file system",
        ),
    ],
)
def test_mounts_that_are_refused(tmp_path: Path, mount: Object, problem: str) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "link").symlink_to("/etc")
    sources = {"v": VolumeSource(volume), "ro": VolumeSource(volume, read_only=True)}
    with pytest.raises(VolumeError) as raised:
        volume_mounts({"volumeMounts": [mount]}, sources, {}, follow_links=True)
    assert str(raised.value) == problem


def pod_with_account(**spec: Any) -> Object:
    return {"metadata": {}, "spec": {"serviceAccountName": "sa", "containers": [{"name": "main"}], **spec}}


@pytest.mark.parametrize(
    ("pod", "account", "mounted"),
    [
        (None, None, True),
        (False, None, False),
        (None, False, False),
        (None, True, True),
        (True, False, True),
    ],
)
def test_whether_the_token_is_mounted(pod: bool | None, account: bool | None, mounted: bool) -> None:
    spec = {} if pod is None else {"automountServiceAccountToken": pod}
    found = with_service_account(
        pod_with_account(**spec), None if account is None else {"automountServiceAccountToken": account}, "authority"
    )
    assert ("volumes" in found["spec"]) is mounted


def test_a_pod_without_an_account_gets_no_token() -> None:
    pod = {"spec": {"containers": [{"name": "main"}]}}
    assert with_service_account(pod, None, "authority") is pod
    assert "volumes" in with_service_account(pod, {}, "authority")["spec"]


def test_a_container_may_mount_something_of_its_own_there() -> None:
    own = [{"name": "mine", "mountPath": SERVICE_ACCOUNT_PATH + "/"}]
    pod = pod_with_account(initContainers=[{"name": "init"}], containers=[{"name": "main", "volumeMounts": own}])
    spec = with_service_account(pod, None, "authority")["spec"]
    assert spec["containers"][0]["volumeMounts"] == own
    assert [one["mountPath"] for one in spec["initContainers"][0]["volumeMounts"]] == [SERVICE_ACCOUNT_PATH]
    assert "volumes" not in pod["spec"]
