"""What users may set only where the platform permits it: what runs code, or acts, as somebody else."""

from collections.abc import Iterator

from adapter_operator.api.schema.model import Problem
from adapter_operator.api.settings import OperatorSettings, is_permitted
from adapter_operator.api.v1alpha1.pod import Pod
from adapter_operator.build.pod_template import is_reserved_variable


def pod_problems(pod: Pod, settings: OperatorSettings) -> Iterator[Problem]:
    """Every setting of `spec.pod` that is not permitted, with what to do."""
    permitted = settings.permitted
    if pod.image is not None and not is_permitted(pod.image, permitted.images):
        yield not_permitted("spec.pod.image", pod.image, "permitted.images")
    account = pod.service_account_name
    if account is not None and not is_permitted(account, permitted.service_account_names):
        yield not_permitted("spec.pod.serviceAccountName", account, "permitted.serviceAccountNames")
    for variable in pod.env or []:
        field = f"spec.pod.env[{variable.name}]"
        if is_reserved_variable(variable.name):
            yield Problem(field, "the operator sets this variable itself: remove it")
        elif not is_permitted(variable.name, permitted.environment_variables):
            yield not_permitted(field, variable.name, "permitted.environmentVariables")


def not_permitted(field: str, value: str, setting: str) -> Problem:
    """The problem of one value that no pattern of a setting fits."""
    return Problem(
        field, f"the platform does not permit {value}: remove it, or ask the platform team to add it to {setting}"
    )
