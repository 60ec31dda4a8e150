"""The output of a training in its store: whose it is, what a run gave, and how a run's adapter gets there."""

import logging
from pathlib import Path

from adapter_contract import (
    ByInputPointer,
    ContractError,
    Digest,
    Owner,
    RunRecord,
    RunReference,
    StoredManifest,
    TrainerConfig,
    TrainerResult,
    TrainingReference,
)
from adapter_contract.layout import ArtifactKey, ByInputKey, OwnerKey, RunKey, artifact_uri
from adapter_contract.s3 import Conflict, NotFound, ObjectStore, commit_artifact
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.failures import about

OUTPUT_IN_USE = "OutputInUse"
"""How the message begins when the output is another training's: the operator's reason for its condition."""

_FIELD = "output"

_log = logging.getLogger(__name__)


class Output:
    """Everything below `<output uri>/<training name>/` that an attempt reads and writes.

    Its methods raise TrainerError by the store's finding: InputMissing (no such bucket), PermissionDenied,
    StorageUnavailable and so on, naming the field `output`.
    """

    def __init__(self, store: ObjectStore, config: TrainerConfig) -> None:
        """Use an opened store.

        Args:
            store: rooted at the output's URI.
            config: as declared.
        """
        self._store = store
        self._training = config.training
        self._run = config.run
        self._uri = config.output.location.uri

    def claim(self) -> None:
        """Make the output this training's, or find that it is.

        Raises:
            BadConfiguration: it is another's (the message begins with `OutputInUse`).
        """
        owner, key = Owner.of(self._training), OwnerKey(self._training.name).key
        with about(_FIELD):
            try:
                self._store.put_if_absent(key, owner.to_json())
            except Conflict:
                self._require_own(self._store.get(key, limit=Owner.max_bytes), owner)

    def recorded_result(self) -> TrainerResult | None:
        """Return the result of this run, where an earlier attempt has recorded one.

        Raises:
            BadConfiguration: the record is not of this run, or can't be read.
        """
        key = self._run_key
        try:
            with about(_FIELD):
                data = self._get_or_none(key)
            return None if data is None else self._checked(RunRecord.from_json(data), key)
        except ContractError as error:
            raise BadConfiguration(
                f"{_FIELD}: {self._store.uri(key)} is no record of a run: {error}; remove it, or set restartToken"
            ) from error

    def publish(self, directory: Path, stored: StoredManifest) -> str:
        """Upload an adapter, its manifest last, and return its URI."""
        key = ArtifactKey(self._training.name, stored.digest)
        with about(_FIELD):
            commit_artifact(self._store, key.key, directory, stored.data)
        return artifact_uri(self._uri, self._training.name, stored.digest)

    def point_from_inputs(self, input_digest: Digest, digest: Digest) -> None:
        """Let equal inputs find the adapter. Where they find an earlier one, that stays."""
        pointer = ByInputPointer(input_digest=input_digest, digest=digest)
        key = ByInputKey(self._training.name, input_digest).key
        with about(_FIELD):
            try:
                self._store.put_if_absent(key, pointer.to_json())
            except Conflict:
                _log.info("equal inputs gave an adapter before; %s still points to it", self._store.uri(key))

    def record(self, result: TrainerResult) -> TrainerResult:
        """Record the result of the run, and return the one that counts: the first that was recorded."""
        record = RunRecord(training=self._training, run=self._run, result=result)
        with about(_FIELD):
            try:
                self._store.put_if_absent(self._run_key, record.to_json())
            except Conflict:
                _log.warning("another attempt of this run was faster; its result is reported")
                return self.recorded_result() or result
        return result

    @property
    def _run_key(self) -> str:
        return RunKey(self._training.name, self._training.uid, self._run.number).key

    def _get_or_none(self, key: str) -> bytes | None:
        try:
            return self._store.get(key, limit=RunRecord.max_bytes)
        except NotFound:
            return None

    def _checked(self, record: RunRecord, key: str) -> TrainerResult:
        theirs, ours = _identity(record.training, record.run), _identity(self._training, self._run)
        if theirs != ours:
            raise BadConfiguration(
                f"{_FIELD}: {self._store.uri(key)} holds the result of {theirs}, but this is {ours}; set restartToken"
            )
        return record.result

    def _require_own(self, data: bytes, owner: Owner) -> None:
        uri = self._store.uri(OwnerKey(self._training.name).key)
        try:
            found = Owner.from_json(data)
        except ContractError as error:
            raise BadConfiguration(f"{OUTPUT_IN_USE}: {uri} is no owner's document: {error}; {_FIX_OWNER}") from error
        if found != owner:
            raise BadConfiguration(
                f"{OUTPUT_IN_USE}: {uri} says that the training {found.namespace}/{found.name} of the cluster "
                f"{found.cluster} publishes here, and this is {owner.namespace}/{owner.name} of {owner.cluster}; "
                f"{_FIX_OWNER}"
            )


_FIX_OWNER = "choose another output.s3.uri or another name, or delete that object if its training is gone"


def _identity(training: TrainingReference, run: RunReference) -> str:
    return f"run {run.number} of {training.uid} with specHash {run.spec_hash}"
