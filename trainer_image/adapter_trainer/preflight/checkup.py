"""All checks of a run, in an order in which what one finds serves the next; none hides what another finds."""

import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from adapter_contract import TrainerConfig
from adapter_contract.published import PublishedAdapter
from adapter_contract.s3 import ObjectStore
from adapter_trainer.environment import Configuration
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.examples.prepare import PreparedExamples
from adapter_trainer.inputs.digests import KnownDigests
from adapter_trainer.preflight.base_model import BaseFacts, check_base_model
from adapter_trainer.preflight.codes import Code
from adapter_trainer.preflight.data import FetchedData, check_examples, fetch_data
from adapter_trainer.preflight.ledger import Ledger
from adapter_trainer.preflight.memory import EstimateMemory, check_memory
from adapter_trainer.preflight.output import check_output, opened_output
from adapter_trainer.preflight.parent import check_parent
from adapter_trainer.preflight.reuse import find_reusable
from adapter_trainer.reporting.stages import stage
from adapter_trainer.training.support import unsupported

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out beside errors and warnings; None where it could not be.

    Attributes:
        prepared: the examples, where all of them can be used.
        digests: of the inputs.
        estimated_memory_bytes: of the GPU.
        reused: the adapter that equal inputs gave.
    """

    prepared: PreparedExamples | None = None
    digests: KnownDigests = KnownDigests()  # noqa: RUF009 - it is frozen
    estimated_memory_bytes: int | None = None
    reused: PublishedAdapter | None = None


class Checkup:
    """The checks of one run. What is known so far can be read at any time, also when they are stopped."""

    def __init__(
        self, configuration: Configuration, work_directory: Path, *, estimate: EstimateMemory | None = None
    ) -> None:
        """Prepare the checks.

        Args:
            configuration: of the run.
            work_directory: writable; what is downloaded goes below it.
            estimate: of the GPU's memory; None leaves it out.
        """
        self._declared = configuration.declared
        self._config: TrainerConfig = configuration.resolved
        self._work = work_directory / "preflight"
        self._cache = work_directory / "base-digests"
        self._estimate = estimate
        self.ledger = Ledger()
        self.facts = Facts()

    def run(self) -> None:
        """Check everything.

        Raises:
            Stopped: the process was told to stop.
            OSError: the work directory can't be written.
        """
        self._clear_work_directory()
        for problem in unsupported(self._config):
            self.ledger.add(Code.RecipeUnsupported, problem)
        with opened_output(self.ledger, self._config) as store:
            with stage("checking the output"):
                claimed = store is not None and check_output(self.ledger, store, self._declared)
            self._inputs()
            if store is not None and claimed:
                self._reuse(store)

    def _clear_work_directory(self) -> None:
        if self._work.exists():  # left by a container that was restarted in the same pod
            shutil.rmtree(self._work)
        self._work.mkdir(parents=True)

    def _inputs(self) -> None:
        config, ledger = self._config, self.ledger
        with stage("checking the base model"):
            base = check_base_model(ledger, config, self._work / "base-model", self._cache)
            self._know(base=base.digest)
        with stage("fetching the dataset"):
            data = fetch_data(ledger, config, self._work)
            self._know(dataset=data.training.digest if data.training else None)
        if config.initialize_from is not None:
            with stage("checking the adapter to go on from"):
                self._know(parent=check_parent(ledger, config, base, self._work / "parent"))
        self._examples(data, base)
        self._memory(base)
        self._know_inputs()

    def _examples(self, data: FetchedData, base: BaseFacts) -> None:
        with stage("checking the examples"):
            prepared = check_examples(self.ledger, self._config, data, base)
        if prepared is None:
            return
        self.facts = replace(self.facts, prepared=prepared)
        self._know(evaluation=prepared.evaluation_digest)
        _log.info(
            "%s; %d examples to learn from, %d to evaluate on, %d left out; %d tokens, of which %d are learned",
            prepared.detected_because or prepared.detected_format,
            len(prepared.training),
            len(prepared.evaluation),
            prepared.dropped,
            prepared.tokens,
            prepared.labelled_tokens,
            extra={"fields": {"format": prepared.detected_format, "columns": dict(prepared.columns)}},
        )

    def _memory(self, base: BaseFacts) -> None:
        if self._estimate is None or self._config.gpu_memory_bytes is None:
            return
        prepared = self.facts.prepared
        if prepared is None or base.shape is None:
            self.ledger.skipped("the memory of the GPU", "base model or examples are not known")
            return
        sequences = [one for unit in prepared.training for one in unit.sequences]
        lengths, labels = [len(one.tokens) for one in sequences], [one.labelled_tokens for one in sequences]
        try:
            estimate = self._estimate(base.shape, self._config, lengths, labels)
        except BadConfiguration:  # target modules that are wrong, which were told already
            self.ledger.skipped("the memory of the GPU", "method.targetModules are wrong")
            return
        self.facts = replace(self.facts, estimated_memory_bytes=estimate.total_bytes)
        check_memory(self.ledger, self._config, estimate)

    def _know_inputs(self) -> None:
        known, config = self.facts.digests, self._declared
        missing = known.dataset is None or known.base is None or self.facts.prepared is None
        if missing or (config.initialize_from is not None and known.parent is None):
            return
        self.facts = replace(self.facts, digests=known.with_inputs(config.run.recipe_hash))

    def _reuse(self, store: ObjectStore) -> None:
        digest = self.facts.digests.inputs
        if digest is not None:
            with stage("looking for an adapter of equal inputs"):
                reused = find_reusable(self.ledger, store, self._declared, digest)
            self.facts = replace(self.facts, reused=reused)

    def _know(self, **digests: str | None) -> None:
        self.facts = replace(self.facts, digests=replace(self.facts.digests, **digests))
