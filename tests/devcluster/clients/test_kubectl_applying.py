"""What a user sees of ``kubectl apply`` and ``kubectl diff``; a cluster without a node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_devcluster.devcluster import DevCluster
from adapter_testing.client_manifests import STAY, boat, config_map, container, deployment
from adapter_testing.kubectl import Kubectl

pytestmark = pytest.mark.integration

DATA = Path(__file__).parent / "data"
HOW_TO_RESOLVE = """\
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    with DevCluster(node=False, tls=True) as found:
        yield found


def managers(obj: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["manager"], one["operation"]) for one in obj["metadata"]["managedFields"]]


def test_apply_on_the_client_side(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=config_map(color="red", size="3")) == "configmap/settings created\n"
    assert kubectl("apply", "-f", "-", stdin=config_map(color="red", size="3")) == "configmap/settings unchanged\n"
    # What the manifest no longer has goes; what somebody else added stays.
    kubectl("patch", "cm", "settings", "-p", '{"data": {"shape": "round"}}')
    assert kubectl("apply", "-f", "-", stdin=config_map(color="blue")) == "configmap/settings configured\n"
    assert kubectl.get("cm", "settings")["data"] == {"color": "blue", "shape": "round"}


def test_apply_of_what_was_created_without_it_warns(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=config_map(color="red"))
    out, err = kubectl.warns("apply", "-f", "-", stdin=config_map(color="blue"))
    assert out == "configmap/settings configured\n"
    assert err == (
        "Warning: resource configmaps/settings is missing the kubectl.kubernetes.io/last-applied-configuration "
        "annotation which is required by kubectl apply. kubectl apply should only be used on resources created "
        "declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched "
        "automatically.\n"
    )


def test_apply_on_the_server_side(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, stdin=config_map(color="red")) == "configmap/settings serverside-applied\n"
    version = kubectl.get("cm", "settings")["metadata"]["resourceVersion"]
    assert kubectl(*apply, stdin=config_map(color="red")) == "configmap/settings serverside-applied\n"
    assert kubectl.get("cm", "settings")["metadata"]["resourceVersion"] == version
    other = (*apply, "--field-manager=somebody")
    assert kubectl.fails(*other, stdin=config_map(color="green")) == (
        f'error: Apply failed with 1 conflict: conflict with "kubectl": .data.color\n{HOW_TO_RESOLVE}'
    )
    assert kubectl(*other, "--force-conflicts", stdin=config_map(color="green")) == (
        "configmap/settings serverside-applied\n"
    )
    found = kubectl.get("cm", "settings", "--show-managed-fields")
    assert found["data"] == {"color": "green"}
    assert managers(found) == [("kubectl", "Apply"), ("somebody", "Apply")]


def test_server_side_apply_takes_over_from_client_side_apply(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=config_map(color="red"))
    kubectl("apply", "--server-side", "-f", "-", stdin=config_map(color="red"))
    found = kubectl.get("cm", "settings", "--show-managed-fields")
    assert managers(found) == [("kubectl", "Apply"), ("kubectl-last-applied", "Apply")]
    # All fields are the one manager's now, so one that is left out goes.
    kubectl("apply", "--server-side", "-f", "-", stdin=config_map(size="3"))
    assert kubectl.get("cm", "settings")["data"] == {"size": "3"}


def test_several_conflicts_are_listed_by_manager(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    kubectl(*apply, "--field-manager=one", stdin=config_map(color="red", size="3"))
    kubectl("patch", "cm", "settings", "--field-manager=two", "-p", '{"data": {"size": "4"}}')
    assert kubectl.fails(*apply, stdin=config_map(color="blue", size="5")) == (
        'error: Apply failed with 2 conflicts: conflicts with "one":\n- .data.color\n'
        f'conflicts with "two" using v1:\n- .data.size\n{HOW_TO_RESOLVE}'
    )


def test_apply_with_pruning(kubectl: Kubectl) -> None:
    both = [config_map("a", color="red"), config_map("b", color="red")]
    prune = ("apply", "--prune", "-l", "app=shop", "--prune-allowlist=core/v1/ConfigMap", "-f", "-")
    kubectl("apply", "-f", "-", stdin=[*both, config_map("c", labels={"app": "other"}, color="red")])
    out, _ = kubectl.warns(*prune, stdin=both[:1])
    assert out == "configmap/a unchanged\nconfigmap/b pruned\n"
    assert kubectl("get", "cm", "a", "b", "c", "-o", "name", "--ignore-not-found") == "configmap/a\nconfigmap/c\n"


def test_apply_of_an_apply_set(kubectl: Kubectl) -> None:
    pruning = kubectl.within(KUBECTL_APPLYSET="true")
    apply = ("apply", "--prune", "--applyset=shop", "--namespace", kubectl.namespace, "-f", "-")
    both = [config_map("a", color="red"), config_map("b", color="red")]
    pruning.warns(*apply, stdin=both)
    out, _ = pruning.warns(*apply, stdin=both[1:])
    assert out == "configmap/b unchanged\nconfigmap/a pruned\n"


def test_apply_of_a_kustomization(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-k", DATA / "kustomized") == "configmap/dev-settings created\n"
    assert kubectl("get", "cm", "-l", "team=harbour", "-o", "name") == "configmap/dev-settings\n"
    assert kubectl("delete", "-k", DATA / "kustomized") == (
        f'configmap "dev-settings" deleted from {kubectl.namespace} namespace\n'
    )


def test_apply_of_a_custom_resource(kubectl: Kubectl, boats: None) -> None:
    assert kubectl("apply", "-f", "-", stdin=boat(berth="north")) == "boat.harbour.example.dev/ada created\n"
    assert kubectl("apply", "-f", "-", stdin=boat(berth="north")) == "boat.harbour.example.dev/ada unchanged\n"
    changed = boat(crew=4)
    assert kubectl("apply", "-f", "-", stdin=changed) == "boat.harbour.example.dev/ada configured\n"
    assert kubectl.get("boat", "ada")["spec"] == {"crew": 4}
    invalid = boat(crew=33, berth="x" * 21)
    assert kubectl.fails("apply", "-f", "-", stdin=invalid) == (
        'The Boat "ada" is invalid: \n'
        "* spec.berth: Too long: may not be more than 20 bytes\n"
        "* spec.crew: Invalid value: 33: spec.crew in body should be less than or equal to 20\n"
    )
    assert kubectl.fails("create", "-f", "-", stdin={**boat("b"), "spec": {}}) == (
        'The Boat "b" is invalid: spec.crew: Required value\n'
    )


def test_unknown_fields_are_refused_or_warned_of(kubectl: Kubectl, boats: None) -> None:
    wrong = deployment(0, main=container(STAY, imagePullpolicy="Always"))
    wrong["metadata"]["name"] = "wrong"
    wrong["spec"]["replica"] = 1
    problems = ('unknown field "spec.replica"', 'unknown field "spec.template.spec.containers[0].imagePullpolicy"')
    assert kubectl.fails("create", "-f", "-", stdin=wrong) == (
        'Error from server (BadRequest): error when creating "STDIN": Deployment in version "v1" cannot be '
        f"handled as a Deployment: strict decoding error: {', '.join(problems)}\n"
    )
    out, err = kubectl.warns("create", "--validate=warn", "-f", "-", stdin=wrong)
    assert (out, err) == ("deployment.apps/wrong created\n", f"Warning: {problems[0]}\nWarning: {problems[1]}\n")
    assert kubectl("create", "--validate=ignore", "--dry-run=server", "-f", "-", stdin=deployment(0, x=1)) == (
        "deployment.apps/web created (server dry run)\n"
    )
    sailing = boat(sails=2)
    out, err = kubectl.warns("apply", "--validate=warn", "-f", "-", stdin=sailing)
    assert (out, err) == ("boat.harbour.example.dev/ada created\n", 'Warning: unknown field "spec.sails"\n')
    assert kubectl.fails(
        "replace", "-f", "-", stdin={**sailing, "metadata": kubectl.get("boat", "ada")["metadata"]}
    ) == (
        'Error from server (BadRequest): error when replacing "STDIN": Boat in version "v1" cannot be handled as a '
        'Boat: strict decoding error: unknown field "spec.sails"\n'
    )


def test_diff(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=config_map(color="red", size="3"))
    assert kubectl("diff", "-f", "-", stdin=config_map(color="red", size="3")) == ""
    for way in ("--server-side=false",), ("--server-side", "--force-conflicts"):
        found = kubectl.run("diff", *way, "-f", "-", stdin=config_map(color="blue", size="3"))
        assert (found.returncode, found.stderr) == (1, "")
        changed = [line for line in found.stdout.splitlines() if line[:1] in "-+" and line[:3] not in ("---", "+++")]
        assert changed == ["-  color: red", "+  color: blue"]
    assert kubectl.get("cm", "settings")["data"]["color"] == "red"
