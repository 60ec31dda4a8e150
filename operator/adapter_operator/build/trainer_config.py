"""The TrainerConfig of a run, and the immutable config map that all its attempts read."""

from dataclasses import dataclass
from typing import Any, Final

from adapter_contract import recipe
from adapter_contract.digests import sha256_bytes
from adapter_contract.trainer_config import (
    CheckpointConfig,
    Column,
    DatasetConfig,
    EvaluationConfig,
    Lineage,
    OutputConfig,
    PercentHoldout,
    PreflightConfig,
    RunReference,
    SourceHoldout,
    TrainerConfig,
    TrainingReference,
    UnusableExamples,
)
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1 import method as api
from adapter_operator.api.v1alpha1.identity import learning_rate, recipe_hash
from adapter_operator.api.v1alpha1.labels import CONFIG_DIGEST, RUN
from adapter_operator.api.v1alpha1.names import trainer_config_map
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.api.version import OPERATOR_VERSION
from adapter_operator.build.metadata import child_metadata
from adapter_operator.build.quantities import bytes_of
from adapter_operator.build.trainer_inputs import TrainerInputs

JSON = dict[str, Any]

CONFIG_KEY: Final = "trainer-config.json"
"""Key of the config map, and name of the mounted file."""


@dataclass(frozen=True)
class RunIdentity:
    """What the operator decided about a run before its configuration is written.

    Attributes:
        number: of the run.
        spec_hash: the identity that it trains, under `hash_version`.
        hash_version: of the rules.
        restart_token: of the run.
        image: of the trainer, as its manifest records it.

    """

    number: int
    spec_hash: str
    hash_version: int
    restart_token: str | None
    image: str


def trainer_config(
    training: AdapterTraining, run: RunIdentity, inputs: TrainerInputs, settings: OperatorSettings
) -> TrainerConfig:
    """The document, every default resolved. Nothing of one attempt stands in it.

    There is no preflight yet whatever `preflight.mode` says: `expected` is absent, so the digests of data and base
    come from the trainer itself.
    """
    spec, metadata = training.spec, training.metadata
    return TrainerConfig(
        training=TrainingReference(
            cluster=settings.cluster_name, namespace=metadata.namespace, name=metadata.name, uid=metadata.uid
        ),
        run=RunReference(
            number=run.number,
            spec_hash=run.spec_hash,
            recipe_hash=recipe_hash(spec, run.hash_version),
            hash_version=run.hash_version,
            restart_token=run.restart_token,
        ),
        base_model=inputs.base_model.config,
        dataset=_dataset(training, inputs),
        initialize_from=inputs.parent,
        method=_method(spec.method),
        quantization=recipe.Quantization(**_fields(spec.quantization)),
        objective=_objective(spec.objective),
        hyperparameters=_hyperparameters(training),
        evaluation=_evaluation(training, inputs),
        checkpoint=CheckpointConfig(interval_seconds=spec.checkpoint.interval_seconds, keep=spec.checkpoint.keep),
        output=OutputConfig(location=inputs.output),
        preflight=PreflightConfig(mode=spec.preflight.mode),
        gpu_memory_bytes=None if spec.pod.gpu_memory is None else bytes_of(spec.pod.gpu_memory) or None,
        lineage=Lineage(image=run.image, operator_version=OPERATOR_VERSION),
        reuse="Forbidden" if run.restart_token is not None else "Allowed",
    )


def config_map(training: AdapterTraining, config: TrainerConfig) -> JSON:
    """The immutable config map that holds the document, named by its digest: other bytes are another object."""
    data = config.to_json()
    digest = sha256_bytes(data)
    run = config.run.number
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(
            training,
            trainer_config_map(training.metadata.name, run, digest),
            labels={RUN: str(run)},
            annotations={CONFIG_DIGEST: digest},
        ),
        "immutable": True,
        "data": {CONFIG_KEY: data.decode()},
    }


def _fields(model: api.Quantization | api.LoRA | api.Bottleneck) -> JSON:
    """The fields of a model whose counterpart in the contract has the same ones."""
    return {name: getattr(model, name) for name in type(model).model_fields}


def _method(method: api.Method) -> recipe.Method:
    match method.type:
        case "LoRA":
            lora = method.lora or api.LoRA()
            return recipe.LoRA(**_fields(lora) | {"target_modules": tuple(sorted(set(lora.target_modules)))})
        case "IA3":
            ia3 = method.ia3 or api.IA3()
            return recipe.IA3(
                target_modules=_modules(ia3.target_modules), feedforward_modules=_modules(ia3.feedforward_modules)
            )
        case "PromptTuning":
            prompt = method.prompt_tuning or api.PromptTuning()
            return recipe.PromptTuning(virtual_tokens=prompt.virtual_tokens, initial_text=prompt.initial_text)
        case "PrefixTuning":
            prefix = method.prefix_tuning or api.PrefixTuning()
            return recipe.PrefixTuning(virtual_tokens=prefix.virtual_tokens)
    return recipe.Bottleneck(**_fields(method.bottleneck or api.Bottleneck()))


def _modules(names: list[str] | None) -> tuple[str, ...] | None:
    """A set of modules in one order, so that equal sets give equal bytes."""
    return None if names is None else tuple(sorted(set(names)))


def _objective(objective: api.Objective) -> recipe.Objective:
    if objective.type == "DirectPreferenceOptimization":
        return recipe.DirectPreferenceOptimization(beta=(objective.direct_preference or api.DirectPreference()).beta)
    return recipe.SupervisedFineTuning(loss_on=objective.loss_on)


def _hyperparameters(training: AdapterTraining) -> recipe.Hyperparameters:
    given = training.spec.hyperparameters
    fields = {name: getattr(given, name) for name in type(given).model_fields}
    return recipe.Hyperparameters(**fields | {"learning_rate": learning_rate(training.spec)})


def _dataset(training: AdapterTraining, inputs: TrainerInputs) -> DatasetConfig:
    dataset = training.spec.dataset
    columns = sorted(dataset.columns or (), key=lambda column: column.name)
    return DatasetConfig(
        source=inputs.dataset,
        format=dataset.format,
        columns=tuple(Column.model_validate({"name": column.name, "from": column.from_}) for column in columns),
        digest=dataset.digest,
        unusable_examples=UnusableExamples(
            action=dataset.unusable_examples.action, max_percent=dataset.unusable_examples.max_percent
        ),
    )


def _evaluation(training: AdapterTraining, inputs: TrainerInputs) -> EvaluationConfig | None:
    given = training.spec.evaluation
    if given is None:
        return None
    if inputs.evaluation is not None:
        holdout: PercentHoldout | SourceHoldout = SourceHoldout(source=inputs.evaluation)
    else:
        holdout = PercentHoldout.model_validate({"percent": given.holdout.percent})
    best, stopping = given.select_best, given.early_stopping
    return EvaluationConfig(
        holdout=holdout,
        interval_steps=given.interval_steps,
        metrics=tuple(sorted(set(given.metrics))),
        select_best=None if best is None else recipe.SelectBest(metric=best.metric),
        early_stopping=None if stopping is None else recipe.EarlyStopping(patience=stopping.patience),
    )
