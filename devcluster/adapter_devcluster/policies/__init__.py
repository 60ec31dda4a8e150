"""ValidatingAdmissionPolicy: expressions that decide on writes, bound to resources and given parameters.

Not here, unlike in a real server: the cost budget of running expressions, ``status.typeChecking`` (warnings only),
audit annotations in an audit log (their expressions are compiled and run, since a failing one denies).
"""

from adapter_devcluster.policies.admission import PolicyAdmission
from adapter_devcluster.policies.parameters import PARAMS_WARM_UP
from adapter_devcluster.policies.request import AdmissionRequest
from adapter_devcluster.policies.validation import check_binding, check_policy, policy_status

__all__ = [
    "PARAMS_WARM_UP",
    "AdmissionRequest",
    "PolicyAdmission",
    "check_binding",
    "check_policy",
    "policy_status",
]
