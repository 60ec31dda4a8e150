"""Labels and annotations of children: what watches select by, and what a child says of itself.

Users can't set them: `pod.labels` and `pod.annotations` refuse their prefixes.
"""

from typing import Final

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
"""On every child; the operator's watches ask for nothing else."""

OPERATOR: Final = "adapter-operator"
"""Value of `MANAGED_BY`."""

COMPONENT: Final = "app.kubernetes.io/component"
"""On pods: what runs in them, `trainer` or `server`."""

TRAINING: Final = "adapters.dev/training"
TRAINING_UID: Final = "adapters.dev/training-uid"
DEPLOYMENT: Final = "adapters.dev/deployment"
DEPLOYMENT_UID: Final = "adapters.dev/deployment-uid"

RUN: Final = "adapters.dev/run"
"""On a training's Jobs, their pods and its config maps: number of the run."""

ATTEMPT: Final = "adapters.dev/attempt"
"""On a training's Jobs and their pods: number of the attempt in its run."""

SPEC_HASH: Final = "adapters.dev/spec-hash"
"""Annotation of a training's Jobs: the identity that the run trains."""

SETTINGS_HASH: Final = "adapters.dev/settings-hash"
"""Annotation of a training's Jobs: the settings of pod, output and retries that they were made with."""

CONFIG_DIGEST: Final = "adapters.dev/config-digest"
"""Annotation of a config map: digest of the document in it."""
