"""One attempt: from a configuration to the result that is reported."""

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from adapter_contract import ExitCode, HubDatasetSource, PathSource, Phase, SourceHoldout, StoredManifest, TrainerResult
from adapter_contract.s3 import ObjectStore, open_store
from adapter_contract.trainer_result import Usage
from adapter_trainer.architecture.families import read_base_config, require_supported_family
from adapter_trainer.environment import Configuration, Environment
from adapter_trainer.errors import Interrupted, TrainerError
from adapter_trainer.failures import about
from adapter_trainer.inputs.base_model import FetchedBase, fetch_base_model
from adapter_trainer.inputs.dataset import FetchedDataset, fetch_dataset, source_uri
from adapter_trainer.inputs.digests import KnownDigests, require_expected
from adapter_trainer.inputs.parent import FetchedParent, fetch_parent
from adapter_trainer.inputs.pins import require_digest
from adapter_trainer.libraries import importing
from adapter_trainer.publishing.artifact import complete_artifact
from adapter_trainer.publishing.machine import gpu_count, library_versions, peak_memory_bytes
from adapter_trainer.publishing.manifest import Circumstances
from adapter_trainer.publishing.output import Output
from adapter_trainer.publishing.trained import Trained
from adapter_trainer.reporting.ending import failed_result
from adapter_trainer.reporting.reporter import ProgressReporter
from adapter_trainer.reporting.stages import stage
from adapter_trainer.stopping import StopRequest
from adapter_trainer.training.support import longest_document, require_supported

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Inputs:
    dataset: FetchedDataset
    evaluation: FetchedDataset | None
    base: FetchedBase
    parent: FetchedParent | None


class Attempt:
    """One try to make the adapter of a run.

    It remembers what it has found and done, so that a failure tells that, too.
    """

    def __init__(
        self, configuration: Configuration, environment: Environment, reporter: ProgressReporter, stop: StopRequest
    ) -> None:
        self._declared = configuration.declared
        self._resolved = configuration.resolved
        self._environment = environment
        self._reporter = reporter
        self._stop = stop
        self._work = environment.work_directory / "attempt"
        self._clock = time.monotonic()
        self._start_time = datetime.now(UTC)
        self._digests = KnownDigests()
        self._began_training = False
        self._trained: Trained | None = None

    def run(self) -> TrainerResult:
        """Make the adapter and publish it, or find that an earlier attempt did.

        Raises:
            TrainerError: as the classes say.
            Stopped: the process was told to stop.
        """
        require_supported(self._resolved)
        self._clear_work_directory()
        with self._opened_output() as store:
            output = Output(store, self._declared)
            with stage("claiming the output"):
                output.claim()
                recorded = output.recorded_result()
            if recorded is not None:
                _log.info("run %d is done: its result is recorded, and is reported again", self._declared.run.number)
                return self._reported_again(recorded)
            inputs = self._fetch()
            self._require_family(inputs.base)
            train = self._ready(inputs)
            # From here on the training looks for itself whether to stop; and once the result is there, ending in
            # order is the shortest way to save it.
            with self._stop.deferred():
                directory = self._work / "adapter"
                with stage("training"):
                    self._trained = trained = train(directory)
                return self._publish(output, directory, trained, inputs)

    def failed(self, error: TrainerError) -> TrainerResult:
        """Return the result of an attempt that ended with an error."""
        result = failed_result(error, run=self._declared.run.number, attempt=self._environment.attempt)
        fresh_start = self._began_training or isinstance(error, Interrupted)
        changes = {"resumed_from_step": 0 if fresh_start else None, "usage": self._usage()}
        return self._digests.on(result.model_copy(update=changes))

    def _clear_work_directory(self) -> None:
        if self._work.exists():  # left by a container that was restarted in the same pod
            shutil.rmtree(self._work)
        self._work.mkdir(parents=True)

    def _opened_output(self) -> ObjectStore:
        with about("output"):
            return open_store(self._resolved.output.location)

    def _fetch(self) -> _Inputs:
        config = self._resolved
        with stage("fetching the dataset"):
            dataset = fetch_dataset(config.dataset.source, self._work / "dataset", "dataset.source")
            self._digests = replace(self._digests, dataset=dataset.digest)
            require_digest("the dataset", dataset.digest, config.dataset.digest, "dataset.digest")
            evaluation = self._fetch_evaluation()
        with stage("fetching the base model"):
            cache = self._environment.work_directory / "base-digests"
            base = fetch_base_model(config.base_model, self._work / "base-model", cache)
            self._digests = replace(self._digests, base=base.digest)
        parent = None
        if config.initialize_from is not None:
            with stage("fetching the adapter to go on from"):
                parent = fetch_parent(config.initialize_from, config.base_model, base.digest, self._work / "parent")
                self._digests = replace(self._digests, parent=parent.stored.digest)
        return _Inputs(dataset, evaluation, base, parent)

    def _require_family(self, base: FetchedBase) -> None:
        """Refuse a base model that can't be trained right, before it takes minutes to load."""
        config = read_base_config(base.directory)
        for warning in require_supported_family(config, longest=longest_document(self._resolved)):
            _log.warning("%s", warning)

    def _fetch_evaluation(self) -> FetchedDataset | None:
        holdout = self._resolved.evaluation.holdout if self._resolved.evaluation else None
        if not isinstance(holdout, SourceHoldout):
            return None
        return fetch_dataset(holdout.source, self._work / "evaluation", "evaluation.holdout.source")

    def _ready(self, inputs: _Inputs) -> Callable[[Path], Trained]:
        """Do what can still refuse the inputs, load the model, and return the training: from a directory to fill."""
        with stage("loading the libraries"), importing():
            # Seconds of imports, which an attempt that has nothing to train does without.
            from adapter_trainer.learning import Learning, Watch  # noqa: PLC0415
            from adapter_trainer.model.quantized_cache import QuantizedCache  # noqa: PLC0415
        evaluation = inputs.evaluation.files if inputs.evaluation else None
        with stage("preparing the examples"):
            learning = Learning(self._resolved, inputs.base.directory, Watch(self._reporter, self._stop))
            prepared = learning.prepare(inputs.dataset.files, evaluation)
        digests = replace(self._digests, evaluation=prepared.evaluation_digest)
        self._digests = digests.with_inputs(self._declared.run.recipe_hash)
        require_expected(self._digests, self._declared.preflight.expected)
        with stage("loading the base model"):
            parent = inputs.parent.directory if inputs.parent else None
            # What lies beside a model that was downloaded goes with this pod.
            mounted = isinstance(self._resolved.base_model.source, PathSource)
            cache = QuantizedCache.beside(inputs.base.directory, inputs.base.digest) if mounted else None
            model = learning.load(parent, cache)
        self._began_training = True
        return partial(learning.train, model, prepared)

    def _publish(self, output: Output, directory: Path, trained: Trained, inputs: _Inputs) -> TrainerResult:
        self._reporter.phase(Phase.UPLOADING)
        with stage("publishing"):
            stored = self._complete(directory, trained, inputs)
            uri = output.publish(directory, stored)
            output.point_from_inputs(stored.manifest.input_digest or "", stored.digest)
            result = self._succeeded(stored, uri)
            counts = output.record(result)
        return result if counts == result else self._reported_again(counts)

    def _complete(self, directory: Path, trained: Trained, inputs: _Inputs) -> StoredManifest:
        source = self._declared.dataset.source
        circumstances = Circumstances(
            start_time=self._start_time,
            end_time=datetime.now(UTC),
            gpu_seconds=self._usage().gpu_seconds,
            libraries=library_versions(),
            # The paths of this machine have no place in a record; the commit of a repository has.
            dataset_uri=inputs.dataset.uri if isinstance(source, HubDatasetSource) else source_uri(source),
            base_revision=self._declared.base_model.revision or inputs.base.commit,
        )
        return complete_artifact(directory, self._declared, self._digests, trained, circumstances)

    def _succeeded(self, stored: StoredManifest, uri: str) -> TrainerResult:
        result = TrainerResult(
            run=self._declared.run.number,
            attempt=self._environment.attempt,
            exit_code=ExitCode.DONE,
            digest=stored.digest,
            uri=uri,
            metrics=stored.manifest.metrics,
            summary=stored.manifest.summary,
            resumed_from_step=0,
            usage=self._usage(),
        )
        return self._digests.on(result)

    def _reported_again(self, recorded: TrainerResult) -> TrainerResult:
        changes = {"attempt": self._environment.attempt, "reused": True, "usage": self._usage()}
        return recorded.model_copy(update=changes)

    def _usage(self) -> Usage:
        seconds = round(time.monotonic() - self._clock)
        trained = self._trained
        return Usage(
            seconds=seconds,
            gpu_seconds=seconds * gpu_count(),
            peak_memory_bytes=(trained.peak_memory_bytes if trained else None) or peak_memory_bytes(),
            trained_tokens=trained.trained_tokens if trained else 0,
        )
