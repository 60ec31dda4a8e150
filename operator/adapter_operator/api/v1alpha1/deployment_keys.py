"""Keys in a deployment's children: annotations that say what they were made from and told, and the AdapterSet's own."""

from typing import Final

TEMPLATE_INPUTS: Final = "adapters.dev/template-inputs-hash"
"""On the Deployment and its pods: digest of all that the pod template was made from."""

TEMPLATE: Final = "adapters.dev/template-hash"
"""On the Deployment: digest of the pod template as it was last built and applied."""

CONTRACT_VERSION: Final = "adapters.dev/contract-version"
"""On the pods: version of the AdapterSet that their image reads."""

SET_GENERATION: Final = "adapters.dev/adapter-set-generation"
"""On a pod: newest generation of the AdapterSet that its kubelet was told of."""

SET_NUDGE: Final = "adapters.dev/adapter-set-nudge"
"""On a pod: how often its kubelet was told of that generation, and when last: `<times>@<time>`."""

SET_KEY: Final = "adapter-set.json"
"""Of the AdapterSet in its config map, and the name of the mounted file."""
