"""Whether the base model is there, whole, of a kind that can be trained, and has the modules that the method adapts."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from transformers import PreTrainedTokenizerBase

from adapter_contract import Digest, PathSource, S3Source, TrainerConfig
from adapter_contract.locations import ModelSource
from adapter_contract.s3 import LocalModel, StoredModel, base_digest, open_store
from adapter_contract.s3.base_model_files import ModelFiles, document_names, weight_names
from adapter_contract.s3.directories import Item, download_items
from adapter_contract.s3.rooted import storage_errors
from adapter_contract.safetensors_header import TensorEntry
from adapter_trainer.architecture.families import TESTED_FAMILIES, family_problems, family_warnings
from adapter_trainer.architecture.modules import TargetModules, resolve_modules
from adapter_trainer.architecture.shape import ModelShape, model_shape, read_config, read_tensors
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.examples.templates import load_tokenizer, prompt_format
from adapter_trainer.failures import about
from adapter_trainer.inputs.hub import HubRepository
from adapter_trainer.inputs.hub_model import HubModel
from adapter_trainer.inputs.pins import require_digest
from adapter_trainer.preflight.codes import BASE_MODEL, TARGETS, TOKENIZER, Code
from adapter_trainer.preflight.ledger import Ledger
from adapter_trainer.training.support import longest_document

_FIELD = "baseModel.source"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What is known of the base model; what could not be found out is None."""

    digest: Digest | None = None
    shape: ModelShape | None = None
    targets: TargetModules | None = None
    tokenizer: PreTrainedTokenizerBase | None = None


@dataclass(frozen=True, slots=True)
class _OpenedBase:
    """The files of a base model, and a local directory with those that are no weights.

    `content_digests` are those of the weight files, by name, where the source lists them.
    """

    files: ModelFiles
    directory: Path
    content_digests: Mapping[str, Digest] | None = None


def check_base_model(ledger: Ledger, config: TrainerConfig, directory: Path, cache_directory: Path) -> BaseFacts:
    """Look at everything of a base model but its weights, of which only headers, and for the digest bytes, are read.

    Args:
        ledger: for what is found.
        config: with mounted paths as they really are.
        directory: to download a stored model's configuration and tokenizer to; it must not exist yet.
        cache_directory: keeps digests of weight files where none can be kept beside the model.
    """
    with contextlib.ExitStack() as stack:
        opened = ledger.attempt(BASE_MODEL, lambda: stack.enter_context(_opened(config, directory)))
        if opened is None:
            return BaseFacts()
        return _checked(ledger, config, opened, cache_directory)


@contextlib.contextmanager
def _opened(config: TrainerConfig, directory: Path) -> Iterator[_OpenedBase]:
    with contextlib.ExitStack() as stack:
        with about(_FIELD):
            opened = _open(config.base_model.source, directory, stack)
        yield opened


def _open(source: ModelSource, directory: Path, stack: contextlib.ExitStack) -> _OpenedBase:
    if isinstance(source, PathSource):
        local = Path(source.path)
        with storage_errors("use the base model at", source.path):
            local.stat()
        return _OpenedBase(LocalModel(local), local)
    if isinstance(source, S3Source):
        store = stack.enter_context(open_store(source.location))
        stored = StoredModel(store)
        names = document_names(stored.list(), stored.uri)
        directory.mkdir(parents=True)
        download_items(store, "", directory, [Item(name, stored.stat(name).size_bytes) for name in names])
        return _OpenedBase(stored, directory)
    repository = stack.enter_context(HubRepository(source, "model"))
    model = HubModel(repository)
    files = model.list()
    directory.mkdir(parents=True)
    repository.download(document_names(files, model.uri), directory)
    return _OpenedBase(model, directory, model.content_digests(weight_names(model, files)))


def _checked(ledger: Ledger, config: TrainerConfig, opened: _OpenedBase, cache_directory: Path) -> BaseFacts:
    files = opened.files
    document = ledger.attempt(BASE_MODEL, lambda: _within(lambda: read_config(files)))
    if document is None:
        ledger.skipped("the rest of the base model", "its config.json can't be read")
        return BaseFacts()
    refused = family_problems(document, longest=longest_document(config))
    for problem in refused:
        ledger.add(Code.BaseModelUnsupported, problem)
    for remark in family_warnings(document, longest=longest_document(config)):
        ledger.add(Code.BaseModelRemark, remark)
    tokenizer = ledger.attempt(TOKENIZER, lambda: _tokenizer(opened.directory))
    tensors = ledger.attempt(BASE_MODEL, lambda: _within(lambda: read_tensors(files)))
    if tensors is None:
        ledger.skipped("the digest of the base model and the modules to adapt", "its weights are not all there")
        return BaseFacts(tokenizer=tokenizer)
    # Of a family that can't be trained anyway nobody needs to know what else is wrong.
    shape, targets = (None, None) if refused else _shape_and_targets(ledger, config, document, tensors)
    digest = ledger.attempt(BASE_MODEL, lambda: _digest(config, opened, cache_directory))
    _check_pin(ledger, config, digest)
    return BaseFacts(digest, shape, targets, tokenizer)


def _shape_and_targets(
    ledger: Ledger, config: TrainerConfig, document: Mapping[str, Any], tensors: Sequence[TensorEntry]
) -> tuple[ModelShape | None, TargetModules | None]:
    if document.get("model_type") not in TESTED_FAMILIES:
        # Other families may name sizes and layers otherwise, which is for transformers to know, and to judge.
        try:
            shape = model_shape(document, tensors)
            return shape, resolve_modules(config.method, shape)
        except BadConfiguration as error:
            ledger.skipped("which modules of the base model are adapted", f"its family is not known here ({error})")
            return None, None
    known = ledger.attempt(BASE_MODEL, lambda: model_shape(document, tensors))
    if known is None:
        return None, None
    return known, ledger.attempt(TARGETS, lambda: resolve_modules(config.method, known))


def _tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    tokenizer = load_tokenizer(directory)
    prompt_format(tokenizer, directory)  # which the manifest will need
    return tokenizer


def _within(read: Callable[[], T]) -> T:
    with about(_FIELD):
        return read()


def _digest(config: TrainerConfig, opened: _OpenedBase, cache_directory: Path) -> Digest:
    identity = config.base_model.identity.value if config.base_model.identity else None
    with about(_FIELD):
        return base_digest(
            opened.files,
            identity=identity,
            cache_directory=cache_directory,
            content_digests=opened.content_digests,
        )


def _check_pin(ledger: Ledger, config: TrainerConfig, digest: Digest | None) -> None:
    pin = config.base_model.digest
    if digest is None:
        return
    try:
        require_digest(f"the base model {config.base_model.name}", digest, pin, "baseModel.digest")
    except BadData as error:
        ledger.add(Code.BaseModelDigestMismatch, str(error))
