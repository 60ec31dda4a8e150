"""Whether the output can be written, and is this training's."""

import contextlib
from collections.abc import Iterator

from adapter_contract import TrainerConfig
from adapter_contract.layout import ProbeKey
from adapter_contract.s3 import ObjectStore, StorageError, open_store
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.failures import about
from adapter_trainer.preflight.codes import OUTPUT, Code
from adapter_trainer.preflight.ledger import Ledger
from adapter_trainer.publishing.output import OUTPUT_IN_USE, Output

_FIELD = "output"
_PROBE = b"Written by preflight to learn whether this output can be written; it may be deleted.\n"


@contextlib.contextmanager
def opened_output(ledger: Ledger, config: TrainerConfig) -> Iterator[ObjectStore | None]:
    """Give the store of the output; None where its location can't be used, which is noted."""
    store = ledger.attempt(OUTPUT, lambda: _opened(config))
    if store is None:
        yield None
        return
    with store:
        yield store


def check_output(ledger: Ledger, store: ObjectStore, config: TrainerConfig) -> bool:
    """Claim the output, and write and delete an object there.

    Args:
        ledger: for what is found.
        store: rooted at the output's URI.
        config: as declared.

    Returns:
        Whether the output is this training's.
    """
    return ledger.attempt(OUTPUT, lambda: _claimed_and_probed(ledger, store, config)) is True


def _opened(config: TrainerConfig) -> ObjectStore:
    with about(_FIELD):
        return open_store(config.output.location)


def _claimed_and_probed(ledger: Ledger, store: ObjectStore, config: TrainerConfig) -> bool:
    try:
        Output(store, config).claim()
    except BadConfiguration as error:
        if not str(error).startswith(OUTPUT_IN_USE):
            raise
        ledger.add(Code.OutputInUse, str(error))
        return False
    key = ProbeKey(config.training.name).key
    with about(_FIELD):
        store.put(key, _PROBE)
    try:
        store.delete([key])
    except StorageError as error:
        ledger.add(
            Code.ProbeNotDeleted,
            f"{_FIELD}: {error}; checkpoints and old versions can't be pruned either: allow deleting below the output",
        )
    return True
