from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
import requests
import yaml

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.api_calls import APPLY, CONFIG_MAPS, MERGE, ApiCalls, config_map

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, controllers=False) as found:
        yield found


@pytest.fixture
def call(cluster: DevCluster) -> Iterator[ApiCalls]:
    calls = ApiCalls(cluster)
    yield calls
    calls("DELETE", CONFIG_MAPS)


def test_health_and_version_are_for_everybody(cluster: DevCluster) -> None:
    nobody = ApiCalls(cluster)
    del nobody.http.headers["Authorization"]
    assert [nobody("GET", path).status_code for path in ("/healthz", "/readyz", "/livez", "/version")] == [200] * 4
    refused = nobody("GET", CONFIG_MAPS)
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot list resource "configmaps"' in refused.json()["message"]


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic YTpi", "Bearer", "nonsense"])
def test_wrong_credentials_are_refused(cluster: DevCluster, header: str) -> None:
    answer = ApiCalls(cluster)("GET", "/api", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


def test_a_request_may_speak_for_another(call: ApiCalls) -> None:
    someone = {"Impersonate-User": "someone"}
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
    }
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    account = {"Impersonate-User": "system:serviceaccount:default:robot"}
    seen = [
        call("POST", path, review, headers=headers).json()["status"]["userInfo"]
        for headers in (someone, {**someone, "Impersonate-Group": "team"}, account)
    ]
    assert [(one["username"], one["groups"]) for one in seen] == [
        ("someone", ["system:authenticated"]),
        ("someone", ["team", "system:authenticated"]),
        (
            "system:serviceaccount:default:robot",
            ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"],
        ),
    ]
    assert call("GET", CONFIG_MAPS, headers=someone).status_code == 403
    assert call("GET", CONFIG_MAPS, headers={"Impersonate-Group": "team"}).status_code == 400


def test_who_may_not_speak_for_others_is_told_so(call: ApiCalls, cluster: DevCluster) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    call("POST", "/api/v1/namespaces/default/serviceaccounts", account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    issued = call("POST", "/api/v1/namespaces/default/serviceaccounts/robot/token", request).json()
    robot = ApiCalls(cluster, issued["status"]["token"])
    for wanted in ("someone", "system:serviceaccount:default:robot"):
        refused = robot("GET", "/api", headers={"Impersonate-User": wanted})
        assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
        assert "cannot impersonate resource" in refused.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/pods/one", 404),
        ("GET", "/api/v1/namespaces/default/pods/one/nothing", 404),
        ("POST", "/api/v1/pods", 405),
        ("POST", "/api/v1/namespaces/default/pods/one", 405),
        ("PATCH", CONFIG_MAPS, 405),
        ("PUT", CONFIG_MAPS, 405),
        ("OPTIONS", CONFIG_MAPS, 405),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_paths_and_methods_that_are_not_served(call: ApiCalls, method: str, path: str, code: int) -> None:
    answer = call(method, path, {} if method not in ("GET", "OPTIONS") else None)
    assert (answer.status_code, answer.json()["kind"], answer.json()["code"]) == (code, "Status", code)


@pytest.mark.parametrize(
    "path", ["/apis/apps/v2/deployments", "/apis/apps/v1/nothing/a/b/c", "/openapi/v9", "/devcluster/nothing"]
)
def test_paths_of_nothing_at_all(call: ApiCalls, path: str) -> None:
    answer = call("GET", path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


def test_head_is_for_what_is_no_resource(call: ApiCalls) -> None:
    assert call("HEAD", CONFIG_MAPS).status_code == 405
    found = call("HEAD", "/healthz")
    assert (found.status_code, found.content) == (200, b"")


def test_yaml_goes_in_and_out(call: ApiCalls) -> None:
    created = call("POST", CONFIG_MAPS, yaml.safe_dump(config_map("a", {"k": "v"})), media="application/yaml")
    assert created.status_code == 201
    found = call("GET", f"{CONFIG_MAPS}/a", accept="application/yaml")
    assert found.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(found.text)["data"] == {"k": "v"}


def test_a_form_that_is_not_offered_is_refused(call: ApiCalls) -> None:
    answer = call("GET", CONFIG_MAPS, accept="text/html")
    assert (answer.status_code, answer.json()["reason"]) == (406, "NotAcceptable")


def test_a_body_that_is_too_large_is_refused(call: ApiCalls) -> None:
    body = config_map("a", {"k": "v" * 3_200_000})
    answer = call("POST", CONFIG_MAPS, body)
    assert (answer.status_code, answer.json()["reason"]) == (413, "RequestEntityTooLarge")


def test_a_body_may_have_up_to_3_mib(call: ApiCalls) -> None:
    secret = {"metadata": {"generateName": "s-"}, "data": {"k": base64.b64encode(b"v" * 1_000_000).decode()}}
    assert call("POST", "/api/v1/namespaces/default/secrets", secret).status_code == 201


def test_a_body_of_no_told_length_is_limited_too(cluster: DevCluster) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"data":{"k":"'
        for _ in range(40):
            yield b"v" * 100_000

    headers = {"Authorization": f"Bearer {cluster.token}", "Content-Type": "application/json"}
    with requests.Session() as http:
        http.trust_env = False
        try:
            answer = http.post(cluster.url + CONFIG_MAPS, data=parts(), headers=headers, timeout=30)
        except requests.ConnectionError:
            return
    assert answer.status_code == 413


def test_a_body_that_is_nested_too_deeply_is_refused(call: ApiCalls) -> None:
    answer = call("POST", CONFIG_MAPS, '{"a":' * 1000 + "1" + "}" * 1000)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"dryRun": "Some"}, "dryRun"),
        ({"fieldValidation": "Perhaps"}, "fieldValidation"),
        ({"fieldManager": "m" * 129}, "fieldManager"),
        ({"force": "true"}, "force"),
    ],
)
def test_options_of_writes_are_checked(call: ApiCalls, params: dict[str, str], field: str) -> None:
    answer = call("PATCH", f"{CONFIG_MAPS}/a", {}, media=MERGE, **params)
    found = answer.json()
    assert (answer.status_code, found["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in found["details"]["causes"]] == [field]


@pytest.mark.parametrize("name", ["limit", "timeoutSeconds"])
def test_numbers_in_the_query_have_to_be_some(call: ApiCalls, name: str) -> None:
    answer = call("GET", CONFIG_MAPS, **{name: "x"})
    assert answer.status_code == 400


def test_unknown_and_double_fields_are_warned_about(call: ApiCalls) -> None:
    body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"nope":1,"data":{"k":"1","k":"2"}}'
    warned = call("POST", CONFIG_MAPS, body)
    assert warned.status_code == 201
    assert 'duplicate field \\"' in warned.headers["Warning"]
    assert 'unknown field \\"nope\\"' in warned.headers["Warning"]
    assert "Warning" not in call("PUT", f"{CONFIG_MAPS}/a", body, fieldValidation="Ignore").headers


def test_the_owner_of_fields_is_the_program_where_no_manager_is_named(call: ApiCalls) -> None:
    call("POST", CONFIG_MAPS, config_map("a", {"k": "v"}), headers={"User-Agent": "tool/1.2 (linux)"})
    call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"l": "v"}}, media=MERGE, fieldManager="named")
    managers = call("GET", f"{CONFIG_MAPS}/a").json()["metadata"]["managedFields"]
    assert [(one["manager"], one["operation"]) for one in managers] == [("named", "Update"), ("tool", "Update")]


def test_apply_creates_with_201_and_then_answers_200(call: ApiCalls) -> None:
    codes = [
        call("PATCH", f"{CONFIG_MAPS}/a", yaml.safe_dump(config_map("a")), media=APPLY, fieldManager="m").status_code
        for _ in range(2)
    ]
    assert codes == [201, 200]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("- 1", 400),
        ("{kind: Secret, apiVersion: v1}", 400),
        ("{kind: ConfigMap, apiVersion: v1, metadata: {name: b}}", 400),
        ("{kind: ConfigMap, apiVersion: v1, metadata: {namespace: b}}", 400),
        ("{kind: ConfigMap, apiVersion: v1, metadata: {uid: abc}}", 409),
        ("{kind: ConfigMap, apiVersion: v1, metadata: 1}", 400),
    ],
)
def test_what_can_not_be_applied_to_a_path(call: ApiCalls, body: str, code: int) -> None:
    assert call("PATCH", f"{CONFIG_MAPS}/a", body, media=APPLY, fieldManager="m").status_code == code


def test_dry_runs_leave_nothing_behind(call: ApiCalls) -> None:
    assert call("POST", CONFIG_MAPS, config_map("a"), dryRun="All").status_code == 201
    assert call("GET", f"{CONFIG_MAPS}/a").status_code == 404
    call("POST", CONFIG_MAPS, config_map("a", {"k": "1"}))
    assert call("PATCH", f"{CONFIG_MAPS}/a", {"data": {"k": "2"}}, media=MERGE, dryRun="All").json()["data"] == {
        "k": "2"
    }
    assert call("DELETE", f"{CONFIG_MAPS}/a", dryRun="All").status_code == 200
    assert call("DELETE", f"{CONFIG_MAPS}/a", {"dryRun": ["All"]}).status_code == 200
    assert call("GET", f"{CONFIG_MAPS}/a").json()["data"] == {"k": "1"}


def test_pages_of_a_list_are_those_of_one_moment(call: ApiCalls) -> None:
    for name in "abcd":
        call("POST", CONFIG_MAPS, config_map(name))
    first = call("GET", CONFIG_MAPS, limit="2").json()
    call("DELETE", f"{CONFIG_MAPS}/c")
    call("POST", CONFIG_MAPS, config_map("e"))
    second = call("GET", CONFIG_MAPS, limit="2", **{"continue": first["metadata"]["continue"]}).json()
    assert [item["metadata"]["name"] for item in first["items"] + second["items"]] == ["a", "b", "c", "d"]
    assert first["metadata"]["remainingItemCount"] == 2
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "continue" not in second["metadata"]


def test_a_list_of_an_exact_earlier_revision(call: ApiCalls) -> None:
    call("POST", CONFIG_MAPS, config_map("a"))
    revision = call("GET", CONFIG_MAPS).json()["metadata"]["resourceVersion"]
    call("POST", CONFIG_MAPS, config_map("b"))
    exact = call("GET", CONFIG_MAPS, resourceVersion=revision, resourceVersionMatch="Exact").json()
    newer = call("GET", CONFIG_MAPS, resourceVersion=revision, resourceVersionMatch="NotOlderThan").json()
    assert [len(one["items"]) for one in (exact, newer)] == [1, 2]


@pytest.mark.parametrize(
    ("params", "code", "reason"),
    [
        ({"resourceVersion": "999999999"}, 504, "Timeout"),
        ({"resourceVersionMatch": "Sometimes"}, 422, "Invalid"),
        ({"continue": "!!!"}, 400, "BadRequest"),
        ({"continue": "e30"}, 400, "BadRequest"),
        ({"continue": "e30", "resourceVersion": "5"}, 400, "BadRequest"),
    ],
)
def test_lists_that_are_refused(call: ApiCalls, params: dict[str, str], code: int, reason: str) -> None:
    answer = call("GET", CONFIG_MAPS, **params)
    assert (answer.status_code, answer.json()["reason"]) == (code, reason)


def test_a_list_from_before_the_history_is_gone(call: ApiCalls, cluster: DevCluster) -> None:
    for name in "abc":
        call("POST", CONFIG_MAPS, config_map(name))
    first = call("GET", CONFIG_MAPS, limit="2").json()["metadata"]
    call("POST", CONFIG_MAPS, config_map("d"))
    cluster.forget_history()
    exact = {"resourceVersion": first["resourceVersion"], "resourceVersionMatch": "Exact"}
    for params in ({"continue": first["continue"]}, exact):
        answer = call("GET", CONFIG_MAPS, **params)
        assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")


def test_deleting_by_options_of_the_query_or_the_body(call: ApiCalls) -> None:
    for params, body in (({"propagationPolicy": "Foreground"}, None), ({}, {"propagationPolicy": "Orphan"})):
        call("POST", CONFIG_MAPS, config_map("a"))
        held = call("DELETE", f"{CONFIG_MAPS}/a", body, **params).json()
        assert held["metadata"]["finalizers"] == ["foregroundDeletion" if params else "orphan"]
        call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": None}}, media=MERGE)
        assert call("GET", f"{CONFIG_MAPS}/a").status_code == 404
    call("POST", CONFIG_MAPS, config_map("a"))
    assert call("DELETE", f"{CONFIG_MAPS}/a", orphanDependents="true").json()["metadata"]["finalizers"] == ["orphan"]
    assert call("DELETE", f"{CONFIG_MAPS}/a", {"gracePeriodSeconds": "x"}).status_code == 400
    assert call("DELETE", f"{CONFIG_MAPS}/a", {"propagationPolicy": "Sideways"}).status_code == 422
    call("PATCH", f"{CONFIG_MAPS}/a", {"metadata": {"finalizers": None}}, media=MERGE)


def test_discovery_is_answered_again_only_when_it_changed(call: ApiCalls) -> None:
    first = call("GET", "/apis")
    again = call("GET", "/apis", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert "/apis" in call("GET", "/").json()["paths"]


def test_a_port_that_is_taken_keeps_a_cluster_from_starting(cluster: DevCluster) -> None:
    second = DevCluster(node=False, port=int(cluster.url.rpartition(":")[2]))
    with pytest.raises(OSError, match="address already in use"):
        second.start()
    with pytest.raises(RuntimeError, match="not running"):
        _ = second.url


def test_over_tls_the_kubeconfig_names_the_authority() -> None:
    with DevCluster(node=False, controllers=False, tls=True) as cluster:
        assert cluster.url.startswith("https://")
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        authority = cluster.config.directory / "ca.crt"
        authority.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
        calls = ApiCalls(cluster)
        calls.http.verify = str(authority)
        assert calls("GET", "/api").status_code == 200
        assert oct(cluster.kubeconfig.stat().st_mode)[-3:] == "600"


def test_a_grace_period_beyond_all_times_is_cut(call: ApiCalls) -> None:
    pods = "/api/v1/namespaces/default/pods"
    spec = {"nodeName": "n", "containers": [{"name": "main", "image": "example.test/app:1"}]}
    call("POST", pods, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    found = call("DELETE", f"{pods}/p", {"gracePeriodSeconds": 2**62})
    assert (found.status_code, found.json()["metadata"]["deletionGracePeriodSeconds"]) == (200, 2**31 - 1)
    call("DELETE", f"{pods}/p", {"gracePeriodSeconds": 0})


def test_a_put_creates_what_is_not_there_for_some_kinds(call: ApiCalls) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {}}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": []}
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
    assert [call("PUT", f"{roles}/r", role).status_code for _ in range(2)] == [201, 200]
    assert call("PUT", f"{leases}/l", lease).status_code == 201
    assert call("PUT", f"{leases}/l", lease).status_code == 422
    assert call("PUT", f"{leases}/other", lease).status_code == 400
    assert call("PUT", f"{CONFIG_MAPS}/none", config_map("none")).status_code == 404
    for path in (f"{roles}/r", f"{leases}/l"):
        assert call("DELETE", path).status_code == 200
