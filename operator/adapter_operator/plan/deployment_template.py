"""Which pod template a deployment gets: a new one only when what it is made from has changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapter_contract import CONTRACT_VERSION, sha256_json
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1 import deployment_keys as keys
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.build.server_deployment import ServerInputs, server_deployment, server_template
from adapter_operator.observe.deployment import LiveDeployment

JSON = dict[str, Any]


@dataclass(frozen=True)
class ChosenTemplate:
    """The Deployment to apply.

    Attributes:
        manifest: of the Deployment.
        set_name: config map of the AdapterSet that its pods mount.
        contract_version: of the AdapterSet that their image reads.
        image: what they run.
    """

    manifest: JSON
    set_name: str
    contract_version: int
    image: str


def choose_template(
    deployment: AdapterDeployment, live: LiveDeployment | None, inputs: ServerInputs, settings: OperatorSettings
) -> ChosenTemplate:
    """The Deployment, with the live template where this operator would build another one from the same inputs.

    Where it builds the very template that was applied last, that one is applied again, which takes back what somebody
    has changed by hand.
    """
    built = server_template(deployment, inputs, settings)
    digest = sha256_json(built)
    if live is None or live.inputs_hash != inputs.digest or live.applied_template == digest:
        return _chosen(deployment, built, digest, inputs.digest, inputs.set_name, CONTRACT_VERSION)
    return _chosen(
        deployment,
        live.template,
        live.applied_template or "",
        inputs.digest,
        live.set_names[0] if live.set_names else inputs.set_name,
        live.contract_version or CONTRACT_VERSION,
    )


def _chosen(
    deployment: AdapterDeployment,
    template: Mapping[str, Any],
    digest: str,
    inputs_digest: str,
    set_name: str,
    version: int,
) -> ChosenTemplate:
    annotations = {keys.TEMPLATE_INPUTS: inputs_digest, keys.TEMPLATE: digest}
    return ChosenTemplate(
        manifest=server_deployment(deployment, template, annotations=annotations),
        set_name=set_name,
        contract_version=version,
        image=template["spec"]["containers"][0]["image"],
    )
