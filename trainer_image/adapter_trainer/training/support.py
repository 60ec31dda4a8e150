"""What of a configuration this release can train. Imports no torch: it is asked before anything is fetched."""

from collections.abc import Iterator
from decimal import Decimal

from adapter_contract import DirectPreferenceOptimization, PercentHoldout, TrainerConfig, as_decimal
from adapter_contract.recipe import LoRA
from adapter_trainer.errors import BadConfiguration

METRICS = ("Loss", "Perplexity", "TokenAccuracy")
_COMPUTE_TYPES = ("BFloat16", "Float32")


def require_supported(config: TrainerConfig) -> None:
    """Refuse what this release can't train, and numbers that make no sense.

    Raises:
        BadConfiguration: all of it, each with its field.
    """
    problems = [*_methods(config), *_objectives(config), *_evaluation(config), *_numbers(config)]
    if problems:
        raise BadConfiguration("; ".join(problems))


def _methods(config: TrainerConfig) -> Iterator[str]:
    method = config.method
    if not isinstance(method, LoRA):
        yield f"method.type: this release trains LoRA only, not {method.type}"
    elif method.initialization != "Default":
        yield f"method.lora.initialization: this release knows Default only, not {method.initialization}"
    elif method.weight_decomposition != "Disabled":
        yield "method.lora.weightDecomposition: this release can't serve DoRA, so it trains none: set it to Disabled"
    if config.quantization.compute_type not in _COMPUTE_TYPES:
        yield (
            f"quantization.computeType: this release computes in {' or '.join(_COMPUTE_TYPES)}, not in "
            f"{config.quantization.compute_type}"
        )


def _objectives(config: TrainerConfig) -> Iterator[str]:
    if isinstance(config.objective, DirectPreferenceOptimization):
        yield "objective.type: this release trains SupervisedFineTuning only, not DirectPreferenceOptimization"
    if config.dataset.format == "Preference":
        yield "dataset.format: this release reads Messages, PromptCompletion and Text, not Preference"


def _evaluation(config: TrainerConfig) -> Iterator[str]:
    if config.evaluation is None:
        return
    asked = [*config.evaluation.metrics]
    if config.evaluation.select_best is not None:
        asked.append(config.evaluation.select_best.metric)
    unknown = sorted(set(asked) - set(METRICS))
    if unknown:
        yield f"evaluation.metrics: this release measures {', '.join(METRICS)}, not {', '.join(unknown)}"
    if isinstance(config.evaluation.holdout, PercentHoldout):
        percent = as_decimal(config.evaluation.holdout.percent)
        if not 0 < percent < 100:
            yield f"evaluation.holdout.percent: {percent} must be above 0 and below 100"


def _numbers(config: TrainerConfig) -> Iterator[str]:
    given = config.hyperparameters
    ranges: list[tuple[str, str, Decimal | None, Decimal | None, bool]] = [
        ("hyperparameters.epochs", given.epochs, Decimal(0), None, False),
        ("hyperparameters.learningRate", given.learning_rate, Decimal(0), None, False),
        ("hyperparameters.warmup", given.warmup, Decimal(0), Decimal(1), True),
        ("hyperparameters.weightDecay", given.weight_decay, Decimal(0), None, True),
        ("hyperparameters.maxGradientNorm", given.max_gradient_norm, Decimal(0), None, True),
    ]
    for field, text, lowest, highest, inclusive in ranges:
        value = as_decimal(text)
        if lowest is not None and (value < lowest or (value == lowest and not inclusive)):
            yield f"{field}: {text} must be {'at least' if inclusive else 'above'} {lowest}"
        if highest is not None and value > highest:
            yield f"{field}: {text} must be at most {highest}"
    if isinstance(config.method, LoRA) and not 0 <= as_decimal(config.method.dropout) < 1:
        yield f"method.lora.dropout: {config.method.dropout} must be at least 0 and below 1"
