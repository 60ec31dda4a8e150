"""The training itself, between the fetched inputs and the adapter's files. Importing this module takes seconds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from adapter_contract import Phase, TrainerConfig
from adapter_trainer.errors import Interrupted
from adapter_trainer.examples.prepare import PreparedExamples, prepare_examples
from adapter_trainer.examples.templates import load_tokenizer, prompt_format
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import load_adapted
from adapter_trainer.model.quantized_cache import QuantizedCache
from adapter_trainer.model.saving import save_adapter
from adapter_trainer.publishing.machine import cpu_name
from adapter_trainer.publishing.trained import ExampleCounts, Trained
from adapter_trainer.reporting.reporter import ProgressReporter
from adapter_trainer.stopping import StopRequest
from adapter_trainer.training.observer import StepReport, TrainingOutcome
from adapter_trainer.training.run import train

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """What the training tells goes to the reporter; whether it stops, the stop request says."""

    reporter: ProgressReporter
    stop: StopRequest

    def phase(self, phase: Phase) -> None:
        """Begin a phase."""
        self.reporter.phase(phase)

    def step(self, report: StepReport) -> None:
        """Count an optimizer step."""
        self.reporter.step(report)

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show an evaluation."""
        self.reporter.evaluated(step, metrics)

    def stop_requested(self) -> bool:
        """Tell whether the process was told to stop."""
        return self.stop.requested


class Learning:
    """The training of one run: examples first, since they may refuse it; then the base model; then the training."""

    def __init__(self, config: TrainerConfig, base_directory: Path, watch: Watch) -> None:
        """Load the tokenizer.

        Args:
            config: with mounted paths as they really are.
            base_directory: of the base model.
            watch: who is told, and may stop it.
        """
        self._config = config
        self._directory = base_directory
        self._watch = watch
        self._tokenizer = load_tokenizer(base_directory)
        # Described now: what is wrong with it must not come out behind the training.
        self._prompt_format = prompt_format(self._tokenizer, base_directory)

    def prepare(self, training: Sequence[Path], evaluation: Sequence[Path] | None) -> PreparedExamples:
        """Turn files into examples; what is remarkable about them is logged."""
        prepared = prepare_examples(training, evaluation, self._tokenizer, self._config)
        counts = {"examples": len(prepared.training), "heldOut": len(prepared.evaluation), "dropped": prepared.dropped}
        _log.info(
            "%d examples (%s) to learn from, %d held out, %d dropped; %d tokens, of which %d are learned",
            len(prepared.training),
            prepared.detected_format,
            len(prepared.evaluation),
            prepared.dropped,
            prepared.tokens,
            prepared.labelled_tokens,
            extra={"fields": counts},
        )
        _log.info("%s", prepared.detected_because)
        _warn(prepared.warnings)
        return prepared

    def load(self, parent: Path | None, cache: QuantizedCache | None) -> AdaptedModel:
        """Load the base model and put an adapter on it.

        Args:
            parent: directory of a verified adapter to go on from; the adapter is a fresh one without.
            cache: of the base model's quantized weights.
        """
        config = self._config
        seed = config.hyperparameters.seed
        return load_adapted(self._directory, config.quantization, config.method, parent=parent, seed=seed, cache=cache)

    def train(self, model: AdaptedModel, prepared: PreparedExamples, directory: Path) -> Trained:
        """Train the adapter and write its files into a directory."""
        try:
            outcome = train(model, prepared, self._config, self._watch)
        except Interrupted as error:
            raise Interrupted(self._watch.stop.message) from error
        _warn(outcome.warnings)
        if self._config.evaluation is not None and self._config.evaluation.select_best is not None:
            _log.info("the best of %d steps is step %d: its weights are kept", outcome.steps, outcome.selected_step)
        saved = save_adapter(model, directory, base_model_name=self._config.base_model.name)
        on_gpu = model.base.device.type == "cuda"
        return Trained(
            facts=saved.facts,
            prompt_format=self._prompt_format,
            examples=ExampleCounts(
                training=len(prepared.training),
                evaluation=len(prepared.evaluation),
                dropped=prepared.dropped,
                tokens=prepared.tokens,
                labelled_tokens=prepared.labelled_tokens,
            ),
            steps=outcome.steps,
            trained_tokens=outcome.trained_tokens,
            metrics=outcome.metrics,
            curve=curve_points(outcome),
            device=torch.cuda.get_device_name(model.base.device) if on_gpu else cpu_name(),
            device_count=1 if on_gpu else 0,
            micro_batch_tokens=outcome.micro_batch_tokens,
            peak_memory_bytes=outcome.peak_memory_bytes,
        )


def curve_points(outcome: TrainingOutcome) -> list[dict[str, object]]:
    """Return what was measured at each step, as JSON objects."""
    evaluations = {point.step: dict(point.metrics) for point in outcome.evaluations}
    return [
        {
            "step": point.step,
            "epoch": point.epoch,
            "loss": point.loss,
            "learningRate": point.learning_rate,
            "gradientNorm": point.gradient_norm,
            **({"evaluation": evaluations[point.step]} if point.step in evaluations else {}),
        }
        for point in outcome.curve
    ]


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        _log.warning("%s", warning)
