"""What a user sees of kubectl's commands about what runs: pods are processes of this machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.client_manifests import IMAGE, STAY, container, deployment, job, pod
from adapter_testing.kubectl import Kubectl, table
from adapter_testing.waiting import until

pytestmark = pytest.mark.integration

TIMEOUT = "--timeout=20s"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    # A container that has failed twice stays down for as long as a test looks at it.
    with DevCluster(tls=True, gpus=4, node_options={"restart_backoff_seconds": 60.0}) as found:
        yield found


def running(kubectl: Kubectl, *pods: dict[str, Any]) -> None:
    kubectl("create", "-f", "-", stdin=list(pods))
    kubectl("wait", "--for=condition=Ready", *(f"pod/{one['metadata']['name']}" for one in pods), TIMEOUT)


def test_logs(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=job("once", "echo one; echo two >&2; echo three"))
    assert kubectl("wait", "--for=condition=Complete", "job/once", TIMEOUT) == "job.batch/once condition met\n"
    assert kubectl("logs", "job/once") == "one\ntwo\nthree\n"
    assert kubectl("logs", "job/once", "--tail=1") == "three\n"
    assert kubectl("logs", "job/once", "--limit-bytes=5") == "one\nt"
    assert kubectl("logs", "job/once", "--since=1h") == "one\ntwo\nthree\n"
    stamped = kubectl("logs", "job/once", "--timestamps").splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ", "at ", line) for line in stamped] == [
        "at one",
        "at two",
        "at three",
    ]
    name = kubectl("get", "pods", "-l", "job-name=once", "-o", "jsonpath={.items[0].metadata.name}")
    assert kubectl("logs", "-l", "job-name=once", "--prefix") == (
        f"[pod/{name}/main] one\n[pod/{name}/main] two\n[pod/{name}/main] three\n"
    )
    assert (
        kubectl.fails("logs", name, "-c", "side") == f"error: container side is not valid for pod {name} out of: main\n"
    )
    assert kubectl.fails("logs", "nope").startswith('error: error from server (NotFound): pods "nope" not found')


def test_logs_are_followed_until_the_end(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=job("slow", "for n in 1 2 3; do echo $n; sleep 0.3; done"))
    kubectl("wait", "--for=create", "pod", "-l", "job-name=slow", TIMEOUT)
    assert kubectl("logs", "-f", "job/slow", "--pod-running-timeout=20s") == "1\n2\n3\n"


def test_logs_of_several_containers(kubectl: Kubectl) -> None:
    both = pod("two", container("echo from a; " + STAY, "a"), container("echo from b; " + STAY, "b"))
    running(kubectl, both)
    # A container that runs has not always said something.
    until(lambda: kubectl("logs", "two", "--all-containers").count("started") == 2)
    out, err = kubectl.warns("logs", "two", "--tail=2")
    assert (out, err) == ("from a\nstarted\n", 'Defaulted container "a" out of: a, b\n')
    assert kubectl("logs", "two", "-c", "b") == "from b\nstarted\n"
    assert sorted(kubectl("logs", "two", "--all-containers", "--prefix").splitlines()) == [
        "[pod/two/a] from a",
        "[pod/two/a] started",
        "[pod/two/b] from b",
        "[pod/two/b] started",
    ]


def test_a_container_that_fails(kubectl: Kubectl) -> None:
    script = "test -e $DIR/again || { touch $DIR/again; echo first; exit 3; }; echo second; exit 4"
    mount = {"name": "dir", "mountPath": "/state"}
    failing = container(script, env=[{"name": "DIR", "value": "/state"}], volumeMounts=[mount])
    kubectl("create", "-f", "-", stdin=pod("crash", failing, volumes=[{"name": "dir", "emptyDir": {}}]))
    ended_again = "--for=jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}=4"
    kubectl("wait", ended_again, "pod/crash", TIMEOUT)
    assert kubectl("logs", "crash", "--previous") == "second\n"
    status = kubectl.get("pod", "crash")["status"]["containerStatuses"][0]
    assert (status["restartCount"], status["state"]["waiting"]["reason"]) == (1, "CrashLoopBackOff")
    row = table(kubectl("get", "pod", "crash"))[1]
    assert row[:3] == ["crash", "0/1", "CrashLoopBackOff"]
    assert re.fullmatch(r"1 \(\d+s ago\)", row[3])
    described = kubectl("describe", "pod", "crash")
    assert (
        "    State:          Waiting\n      Reason:       CrashLoopBackOff\n    Last State:     Terminated\n"
        in described
    )
    assert "      Exit Code:    4\n" in described
    warnings = table(kubectl("events", "--for", "pod/crash", "--types=Warning"))
    assert warnings[1][:3] == ["Warning", "BackOff", "Pod/crash"]
    assert warnings[1][3].startswith("Back-off restarting failed container main in pod crash_")


def test_what_keeps_a_pod_from_running_is_told(kubectl: Kubectl) -> None:
    unknown = pod("unknown", {"name": "main", "image": "registry.example.dev/none:1"})
    greedy = pod("greedy", container(STAY, resources={"limits": {"nvidia.com/gpu": "5"}}))
    waiting = pod("waiting", container(STAY), initContainers=[container("sleep 30", "first")])
    kubectl("create", "-f", "-", stdin=[unknown, greedy, waiting])
    kubectl("wait", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}", "pod/unknown", TIMEOUT)
    kubectl("wait", "--for=jsonpath={.status.initContainerStatuses[0].state.running}", "pod/waiting", TIMEOUT)
    kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "pod/greedy", TIMEOUT)
    rows = {row[0]: row[1:] for row in table(kubectl("get", "pods"))}
    assert rows["greedy"] == ["0/1", "Pending", "0"]
    assert rows["unknown"][1] in ("ErrImagePull", "ImagePullBackOff")
    assert rows["waiting"] == ["0/1", "Init:0/1", "0"]
    assert table(kubectl("events", "--for", "pod/greedy"))[1][:2] == ["Warning", "FailedScheduling"]
    assert "0/1 nodes are available: 1 Insufficient nvidia.com/gpu." in kubectl("describe", "pod", "greedy")
    refused = kubectl.fails("logs", "waiting", "-c", "main")
    assert refused == (
        'Error from server (BadRequest): container "main" in pod "waiting" is waiting to start: PodInitializing\n'
    )
    assert "image can't be pulled" in kubectl.fails("logs", "unknown")


def test_describe_a_pod(kubectl: Kubectl) -> None:
    spec = container(STAY, env=[{"name": "COLOR", "value": "red"}], resources={"limits": {"nvidia.com/gpu": "1"}})
    running(kubectl, pod("solo", spec))
    lines = [line.rstrip() for line in kubectl("describe", "pod", "solo").splitlines()]
    status = kubectl.get("pod", "solo")["status"]
    assert lines[:4] == [
        "Name:         solo",
        f"Namespace:    {kubectl.namespace}",
        "Priority:     0",
        "Node:         devcluster/127.0.0.1",
    ]
    assert "Status:       Running" in lines
    assert f"IP:           {status['podIP']}" in lines
    assert "    State:          Running" in lines
    assert "      nvidia.com/gpu:  1" in lines
    assert "      COLOR:  red" in lines
    first = lines.index("Conditions:") + 2
    assert lines[first : first + 5] == [
        "  PodReadyToStartContainers   True",
        "  Initialized                 True",
        "  Ready                       True",
        "  ContainersReady             True",
        "  PodScheduled                True",
    ]
    events = [line.split(None, 4) for line in lines[lines.index("Events:") + 3 :]]
    assert sorted((reason, source) for _, reason, _, source, _ in events) == [
        ("Created", "kubelet"),
        ("Pulled", "kubelet"),
        ("Scheduled", "default-scheduler"),
        ("Started", "kubelet"),
    ]
    wide = table(kubectl("get", "pod", "solo", "-o", "wide"))
    assert wide[1] == ["solo", "1/1", "Running", "0", status["podIP"], "devcluster", "<none>", "<none>"]


def test_describe_a_job_and_a_deployment(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=job("once", "echo done", backoffLimit=2))
    kubectl("wait", "--for=condition=Complete", "job/once", TIMEOUT)
    assert table(kubectl("get", "job")) == [["NAME", "STATUS", "COMPLETIONS"], ["once", "Complete", "1/1"]]
    lines = kubectl("describe", "job", "once").splitlines()
    assert "Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed" in lines
    assert "Backoff Limit:    2" in lines
    assert [line.split(None, 4)[1] for line in lines[lines.index("Events:") + 3 :]] == ["SuccessfulCreate", "Completed"]
    kubectl("apply", "-f", "-", stdin=deployment())
    kubectl("rollout", "status", "deploy/web", TIMEOUT)
    lines = kubectl("describe", "deploy", "web").splitlines()
    assert "Replicas:               2 desired | 2 updated | 2 total | 2 available | 0 unavailable" in lines
    assert "  Available      True    MinimumReplicasAvailable" in lines
    assert "  Progressing    True    NewReplicaSetAvailable" in lines
    name = kubectl("get", "rs", "-o", "jsonpath={.items[0].metadata.name}")
    assert f"NewReplicaSet:   {name} (2/2 replicas created)" in lines
    assert lines[-1].endswith(f"Scaled up replica set {name} from 0 to 2")


def test_jobs_fail_suspend_and_are_made_from_cron_jobs(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=job("failing", "exit 1", backoffLimit=0))
    kubectl("create", "cronjob", "nightly", f"--image={IMAGE}", "--schedule=@daily", "--", "true")
    assert kubectl("create", "job", "now", "--from=cronjob/nightly") == "job.batch/now created\n"
    kubectl("create", "-f", "-", stdin=job("held", STAY, suspend=True))
    kubectl("wait", "--for=condition=Failed", "job/failing", TIMEOUT)
    kubectl("wait", "--for=condition=Complete", "job/now", TIMEOUT)
    assert table(kubectl("get", "jobs"))[1:] == [
        ["failing", "Failed", "0/1"],
        ["held", "Suspended", "0/1"],
        ["now", "Complete", "1/1"],
    ]
    kubectl("patch", "job", "held", "-p", '{"spec": {"suspend": false}}')
    kubectl("wait", "--for=jsonpath={.status.ready}=1", "job/held", TIMEOUT)
    assert kubectl("delete", "job", "--all").splitlines() == [
        f'job.batch "{name}" deleted from {kubectl.namespace} namespace' for name in ("failing", "held", "now")
    ]
    kubectl("wait", "--for=delete", "pod", "--all", TIMEOUT)


def test_deleting_pods(kubectl: Kubectl) -> None:
    stubborn = container("trap '' TERM; while :; do sleep 0.05; done")
    running(kubectl, pod("a", container(STAY)), pod("b", stubborn), pod("c", stubborn))
    where = f"from {kubectl.namespace} namespace"
    assert kubectl("delete", "pod", "a") == f'pod "a" deleted {where}\n'
    assert kubectl("delete", "pod", "b", "--grace-period=60", "--wait=false") == f'pod "b" deleted {where}\n'
    assert table(kubectl("get", "pod", "b"))[1] == ["b", "1/1", "Terminating", "0"]
    assert kubectl("delete", "pod", "b", "--now") == f'pod "b" deleted {where}\n'
    out, err = kubectl.warns("delete", "pod", "c", "--force")
    assert out == f'pod "c" force deleted {where}\n'
    assert err == (
        "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
        "The resource may continue to run on the cluster indefinitely.\n"
    )
    assert kubectl("get", "pods", "-o", "name") == ""


def test_describe_the_node(kubectl: Kubectl) -> None:
    running(
        kubectl,
        pod("solo", container(STAY, resources={"requests": {"cpu": "100m"}, "limits": {"nvidia.com/gpu": "1"}})),
    )
    lines = [line.rstrip() for line in kubectl("describe", "node", "devcluster").splitlines()]
    assert lines[0] == "Name:               devcluster"
    assert "  nvidia.com/gpu:     4" in lines[lines.index("Capacity:") : lines.index("System Info:")]
    row = next(line.split() for line in lines if line.split()[:2] == [kubectl.namespace, "solo"])
    assert row[2] == "100m"
    assert table(kubectl("get", "nodes"))[1] == ["devcluster", "Ready", "<none>", "v1.36.2"]


def test_what_is_not_served_says_so(kubectl: Kubectl) -> None:
    running(kubectl, pod("solo", container(STAY)))

    def refusal(stream: str) -> str:
        return f"{stream} is not served by this development cluster: its pods are processes of this machine\n"

    assert kubectl.fails("exec", "solo", "--", "ls") == f"error: unable to upgrade connection: {refusal('exec')}"
    assert kubectl.run("attach", "solo").stderr.endswith(f"unable to upgrade connection: {refusal('attach')}")
    assert kubectl.run("cp", "solo:/etc/passwd", kubectl.home / "x").stderr.endswith(refusal("exec"))
    forwarding = kubectl.run("port-forward", "pod/solo", ":80")
    assert (forwarding.returncode, forwarding.stderr.endswith(refusal("portforward"))) == (1, True)
    assert kubectl.fails("top", "pods") == "error: Metrics API not available\n"
    debugging = kubectl.run("debug", "solo", "--image", IMAGE, "--container=extra")
    assert debugging.returncode == 1
    assert "ephemeral containers are disabled for this cluster" in debugging.stderr


def test_a_service_is_reached_through_the_server(kubectl: Kubectl) -> None:
    serve = f"exec {sys.executable} -m http.server 8080 --bind $POD_IP --directory /pages"
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    pages = {"name": "pages", "configMap": {"name": "pages"}}
    main = container(
        serve, env=[address], readinessProbe=probe, volumeMounts=[{"name": "pages", "mountPath": "/pages"}]
    )
    kubectl("create", "cm", "pages", "--from-literal=index.html=hello")
    running(kubectl, pod("site", main, volumes=[pages]))
    kubectl("expose", "pod", "site", "--port=80", "--target-port=8080")
    kubectl(
        "wait",
        "--for=jsonpath={.endpoints[0].conditions.ready}=true",
        "endpointslice",
        "-l",
        "kubernetes.io/service-name=site",
        TIMEOUT,
    )
    base = f"/api/v1/namespaces/{kubectl.namespace}"
    assert kubectl("get", "--raw", f"{base}/services/site:80/proxy/index.html") == "hello"
    assert kubectl("get", "--raw", f"{base}/pods/site:8080/proxy/") == "hello"
    address_of_pod = kubectl("get", "pod", "site", "-o", "jsonpath={.status.podIP}")
    described = [line.split() for line in kubectl("describe", "svc", "site").splitlines()]
    assert ["Endpoints:", f"{address_of_pod}:8080"] in described
