"""What of a configuration this release can train. Imports no torch: it is asked before anything is fetched."""

from collections.abc import Iterator
from decimal import Decimal

from adapter_contract import DirectPreferenceOptimization, PercentHoldout, TrainerConfig, as_decimal
from adapter_contract.recipe import PrefixTuning, PromptTuning
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model.combinations import method_problems

_COMPUTE_TYPES = ("BFloat16", "Float32")
_OF_EVERY_OBJECTIVE = ("Loss", "Perplexity", "TokenAccuracy")
_OF_PREFERENCES = (*_OF_EVERY_OBJECTIVE, "PreferenceAccuracy")
_OF_GENERATION = frozenset({"ExactMatch", "RougeL"})


def require_supported(config: TrainerConfig) -> None:
    """Refuse what this release can't train, and numbers that make no sense.

    Raises:
        BadConfiguration: all of it, each with its field.
    """
    problems = unsupported(config)
    if problems:
        raise BadConfiguration("; ".join(problems))


def unsupported(config: TrainerConfig) -> list[str]:
    """Return what this release can't train, and numbers that make no sense, each with its field and the fix."""
    return [
        *method_problems(config),
        *_quantization(config),
        *_objective(config),
        *_evaluation(config),
        *_numbers(config),
    ]


def metrics_of(config: TrainerConfig) -> tuple[str, ...]:
    """Return the metrics that this release measures under the objective of a configuration."""
    is_preference = isinstance(config.objective, DirectPreferenceOptimization)
    return _OF_PREFERENCES if is_preference else _OF_EVERY_OBJECTIVE


def _quantization(config: TrainerConfig) -> Iterator[str]:
    compute_type = config.quantization.compute_type
    if compute_type not in _COMPUTE_TYPES:
        yield (
            f"quantization.computeType: this release computes in {' or '.join(_COMPUTE_TYPES)}, not in {compute_type}, "
            "whose small range needs losses scaled: set it to BFloat16"
        )


def _objective(config: TrainerConfig) -> Iterator[str]:
    data = config.dataset.format
    if not isinstance(config.objective, DirectPreferenceOptimization):
        if data == "Preference":
            yield (
                "dataset.format: Preference data is learned by objective.type DirectPreferenceOptimization, not by "
                f"{config.objective.type}: change one of them"
            )
        return
    if data not in {"Auto", "Preference"}:
        yield (
            "dataset.format: objective.type DirectPreferenceOptimization learns from Preference data, not from "
            f"{data}: change one of them"
        )
    if as_decimal(config.objective.beta) <= 0:
        yield f"objective.directPreference.beta: {config.objective.beta} must be above 0; 0.1 is usual"


def _evaluation(config: TrainerConfig) -> Iterator[str]:
    evaluation = config.evaluation
    if evaluation is None:
        return
    yield from _metrics(config, "evaluation.metrics", evaluation.metrics)
    if evaluation.select_best is not None:
        yield from _metrics(config, "evaluation.selectBest.metric", (evaluation.select_best.metric,))
    if isinstance(evaluation.holdout, PercentHoldout):
        percent = as_decimal(evaluation.holdout.percent)
        if not 0 < percent < 100:
            yield f"evaluation.holdout.percent: {percent} must be above 0 and below 100"


def _metrics(config: TrainerConfig, field: str, asked: tuple[str, ...]) -> Iterator[str]:
    known = metrics_of(config)
    generated = sorted(_OF_GENERATION.intersection(asked))
    if generated:
        yield (
            f"{field}: this release generates no answers while it trains, so it can't measure {', '.join(generated)}: "
            f"it measures {', '.join(known)}"
        )
    others = sorted(set(asked) - set(known) - _OF_GENERATION)
    if others:
        yield (
            f"{field}: {', '.join(others)} is not measured under objective.type {config.objective.type}, but "
            f"{', '.join(known)}"
        )


def _numbers(config: TrainerConfig) -> Iterator[str]:
    given = config.hyperparameters
    ranges: list[tuple[str, str, Decimal | None, bool]] = [
        ("hyperparameters.epochs", given.epochs, None, False),
        ("hyperparameters.learningRate", given.learning_rate, None, False),
        ("hyperparameters.warmup", given.warmup, Decimal(1), True),
        ("hyperparameters.weightDecay", given.weight_decay, None, True),
        ("hyperparameters.maxGradientNorm", given.max_gradient_norm, None, True),
        ("dataset.unusableExamples.maxPercent", config.dataset.unusable_examples.max_percent, Decimal(100), True),
    ]
    for field, text, highest, zero_allowed in ranges:
        value = as_decimal(text)
        if value < 0 or (value == 0 and not zero_allowed):
            yield f"{field}: {text} must be {'at least' if zero_allowed else 'above'} 0"
        if highest is not None and value > highest:
            yield f"{field}: {text} must be at most {highest}"
    yield from _lengths(config)


def _lengths(config: TrainerConfig) -> Iterator[str]:
    longest = config.hyperparameters.max_sequence_length
    if longest < 2:
        yield (
            f"hyperparameters.maxSequenceLength: {longest} must be at least 2: a token is learned from the ones before "
            "it"
        )
    method = config.method
    if isinstance(method, PromptTuning | PrefixTuning) and method.virtual_tokens > longest:
        member = "promptTuning" if isinstance(method, PromptTuning) else "prefixTuning"
        yield (
            f"method.{member}.virtualTokens: {method.virtual_tokens} must be at most hyperparameters.maxSequenceLength "
            f"({longest}), the tokens of an example"
        )


def longest_document(config: TrainerConfig) -> int:
    """Return how many positions the longest example may take, with the virtual tokens before it."""
    method = config.method
    virtual = method.virtual_tokens if isinstance(method, PromptTuning | PrefixTuning) else 0
    return config.hyperparameters.max_sequence_length + virtual
