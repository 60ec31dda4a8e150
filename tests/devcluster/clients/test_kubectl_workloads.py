"""What a user sees of kubectl's commands about what runs: pods are processes of this machine."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.kubectl import Kubectl, table

pytestmark = pytest.mark.integration

IMAGE = "devcluster.local/host"
# Ends at once when it is told to.
STAY = "trap 'exit 0' TERM; echo started $COLOR; while :; do sleep 0.05; done"
TIMEOUT = "--timeout=20s"


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(tls=True, gpus=4) as found:
        yield found


def container(script: str, name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 5, **spec},
    }


def deployment(replicas: int = 2, script: str = STAY, **spec: Any) -> dict[str, Any]:
    template = pod("web", container(script, env=[{"name": "COLOR", "value": "red"}]))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": template["spec"]},
            **spec,
        },
    }


def job(name: str, script: str, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"restartPolicy": "Never", "containers": [container(script)]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def deployed(kubectl: Kubectl, **options: Any) -> None:
    kubectl("apply", "-f", "-", stdin=deployment(**options))
    kubectl("rollout", "status", "deploy/web", TIMEOUT)


def running(kubectl: Kubectl, *pods: dict[str, Any]) -> None:
    kubectl("create", "-f", "-", stdin=list(pods))
    kubectl("wait", "--for=condition=Ready", *(f"pod/{one['metadata']['name']}" for one in pods), TIMEOUT)


def test_rollouts(kubectl: Kubectl) -> None:
    def color() -> str:
        return kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].env[0].value}")

    deployed(kubectl)
    assert table(kubectl("get", "deploy", "-o", "wide")) == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "CONTAINERS", "IMAGES", "SELECTOR"],
        ["web", "2/2", "2", "2", "main", IMAGE, "app=web"],
    ]
    kubectl("set", "env", "deploy/web", "COLOR=blue")
    done = 'deployment "web" successfully rolled out'
    assert kubectl("rollout", "status", "deploy/web", TIMEOUT).splitlines()[-1] == done
    assert kubectl("rollout", "history", "deploy/web") == (
        "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n"
    )
    assert "    Environment:\n      COLOR:\tblue\n" in kubectl("rollout", "history", "deploy/web", "--revision=2")
    assert kubectl.warns("rollout", "undo", "deploy/web")[0] == "deployment.apps/web rolled back\n"
    assert kubectl("rollout", "status", "deploy/web", TIMEOUT).splitlines()[-1] == done
    assert color() == "red"
    assert [line.split()[0] for line in kubectl("rollout", "history", "deploy/web").splitlines()[2:-1]] == ["2", "3"]
    assert kubectl.fails("rollout", "undo", "deploy/web", "--to-revision=9").splitlines()[-1] == (
        "error: unable to find specified revision 9 in history"
    )


def test_pausing_and_restarting_a_rollout(kubectl: Kubectl) -> None:
    deployed(kubectl, replicas=1)
    before = kubectl("get", "pods", "-o", "name")
    assert kubectl("rollout", "pause", "deploy/web") == "deployment.apps/web paused\n"
    assert kubectl.fails("rollout", "pause", "deploy/web") == 'error: deployments.apps "web" is already paused\n'
    assert kubectl.fails("rollout", "restart", "deploy/web") == (
        'error: deployments.apps "web" can\'t restart paused deployment (run rollout resume first)\n'
    )
    kubectl("set", "image", "deploy/web", f"main={IMAGE}:2")
    assert kubectl("rollout", "status", "deploy/web", "--watch=false") == (
        'Waiting for deployment "web" rollout to finish: 0 out of 1 new replicas have been updated...\n'
    )
    assert kubectl("rollout", "resume", "deploy/web") == "deployment.apps/web resumed\n"
    kubectl("rollout", "status", "deploy/web", TIMEOUT)
    assert kubectl("rollout", "restart", "deploy/web") == "deployment.apps/web restarted\n"
    kubectl("rollout", "status", "deploy/web", TIMEOUT)
    kubectl("wait", "--for=delete", before.strip(), TIMEOUT)
    found = kubectl.get("deploy", "web")["spec"]["template"]
    assert found["spec"]["containers"][0]["image"] == f"{IMAGE}:2"
    assert list(found["metadata"]["annotations"]) == ["kubectl.kubernetes.io/restartedAt"]


def test_a_rollout_that_makes_no_progress(kubectl: Kubectl) -> None:
    never = deployment(replicas=1, progressDeadlineSeconds=1)
    never["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.dev/none:1"
    kubectl("apply", "-f", "-", stdin=never)
    status = kubectl.run("rollout", "status", "deploy/web", TIMEOUT)
    assert status.stderr == 'error: deployment "web" exceeded its progress deadline\n'
    assert status.returncode == 1


def test_scaling_to_nothing_ends_the_pods(kubectl: Kubectl) -> None:
    deployed(kubectl)
    kubectl("scale", "deploy/web", "--replicas=0")
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", TIMEOUT)
    assert kubectl.warns("get", "pods") == ("", f"No resources found in {kubectl.namespace} namespace.\n")
    assert table(kubectl("get", "deploy"))[1] == ["web", "0/0", "0", "0"]


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
    deployed(kubectl)
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


def test_foreground_deletion_waits_for_the_pods(kubectl: Kubectl) -> None:
    deployed(kubectl)
    assert kubectl("delete", "deploy", "web", "--cascade=foreground") == (
        f'deployment.apps "web" deleted from {kubectl.namespace} namespace\n'
    )
    assert kubectl("get", "deploy,rs,pods", "-o", "name") == ""


def test_cordon_and_drain(kubectl: Kubectl) -> None:
    deployed(kubectl, replicas=1)
    running(kubectl, pod("bare", container(STAY)))
    # The node is everybody's, so the pods are told from those of other tests.
    kubectl("label", "pods", "--all", f"whose={kubectl.namespace}")
    try:
        assert kubectl("cordon", "devcluster") == "node/devcluster cordoned\n"
        assert kubectl("cordon", "devcluster") == "node/devcluster already cordoned\n"
        assert table(kubectl("get", "nodes"))[1][:2] == ["devcluster", "Ready,SchedulingDisabled"]
        drain = ("drain", "devcluster", f"--pod-selector=whose={kubectl.namespace}", "--timeout=20s")
        refused = kubectl.run(*drain)
        assert refused.returncode == 1
        assert f"(use --force to override): {kubectl.namespace}/bare" in refused.stderr
        old = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
        out, err = kubectl.warns(*drain, "--force")
        assert err == f"Warning: deleting Pods that declare no controller: {kubectl.namespace}/bare\n"
        assert sorted(out.splitlines()) == [
            f"evicting pod {kubectl.namespace}/bare",
            f"evicting pod {kubectl.namespace}/{old}",
            "node/devcluster already cordoned",
            "node/devcluster drained",
            "pod/bare evicted",
            f"pod/{old} evicted",
        ]
        assert table(kubectl("get", "pods"))[1][1:] == ["0/1", "Pending", "0"]
    finally:
        assert kubectl("uncordon", "devcluster") == "node/devcluster uncordoned\n"
    kubectl("rollout", "status", "deploy/web", TIMEOUT)


def test_an_eviction_respects_disruption_budgets(kubectl: Kubectl) -> None:
    deployed(kubectl, replicas=1)
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=1")
    kubectl("wait", "--for=jsonpath={.status.currentHealthy}=1", "pdb/web", TIMEOUT)
    name = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{name}/eviction"
    assert kubectl.fails("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction)) == (
        "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.\n"
    )
    assert table(kubectl("get", "pdb"))[1] == ["web", "1", "N/A", "0"]
    assert table(kubectl("get", "pod", name))[1][:3] == [name, "1/1", "Running"]


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
