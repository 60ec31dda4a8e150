"""The two kinds as the API server sees them: names, columns, subresources."""

from adapter_operator.api.schema.crd import Column, Kind
from adapter_operator.api.v1alpha1.deployment import AdapterDeployment
from adapter_operator.api.v1alpha1.scalars import OBJECT_NAME_PATTERN
from adapter_operator.api.v1alpha1.training import AdapterTraining

GROUP = "adapters.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORIES = ["adapters"]

_READY = '.status.conditions[?(@.type=="Ready")]'
_READY_COLUMNS = (
    Column("Ready", "string", f"{_READY}.status", "Whether the adapter is usable."),
    Column("Reason", "string", f"{_READY}.reason", "Why it is, or is not."),
)
_AGE = Column("Age", "date", ".metadata.creationTimestamp", "Time since the object was created.")

ADAPTER_TRAINING = Kind(
    model=AdapterTraining,
    plural="adaptertrainings",
    short_name="adtrain",
    name_pattern=OBJECT_NAME_PATTERN,
    columns=(
        *_READY_COLUMNS,
        Column("Progress", "integer", ".status.progress.percent", "Share of the training done, in percent."),
        Column("Loss", "string", ".status.progress.loss", "Loss of the last steps."),
        Column("ETA", "string", ".status.progress.estimatedRemaining", "Time left."),
        Column("Version", "integer", ".status.adapter.version", "Version that deployments follow."),
        _AGE,
        Column("Base", "string", ".spec.baseModel.name", "Base model.", wide=True),
        Column("Method", "string", ".status.resolved.method", "Common name of the method.", wide=True),
        Column("Run", "integer", ".status.run.number", "Number of the latest run.", wide=True),
    ),
)

ADAPTER_DEPLOYMENT = Kind(
    model=AdapterDeployment,
    plural="adapterdeployments",
    short_name="addeploy",
    name_pattern=OBJECT_NAME_PATTERN,
    columns=(
        *_READY_COLUMNS,
        Column("Replicas", "integer", ".status.readyReplicas", "Pods that answer requests."),
        Column("Adapters", "string", ".status.adaptersReady", "Adapters served by all pods, of all adapters."),
        Column("Base", "string", ".spec.baseModel.name", "Base model."),
        _AGE,
        Column("Engine", "string", ".spec.engine.type", "What computes the answers.", wide=True),
        Column("Endpoint", "string", ".status.endpoint", "Base URL for OpenAI clients.", wide=True),
    ),
    scale=(".spec.replicas", ".status.replicas", ".status.selector"),
)

KINDS = (ADAPTER_TRAINING, ADAPTER_DEPLOYMENT)
