"""All kinds of documents, for whoever holds bytes and not their kind: golden tests and the CLI."""

from collections.abc import Mapping
from types import MappingProxyType

from adapter_contract.adapter_set import AdapterReport, AdapterSet
from adapter_contract.documents import Document, parse_object
from adapter_contract.errors import WrongKind
from adapter_contract.manifest import AdapterManifest
from adapter_contract.preflight import PreflightReport
from adapter_contract.progress import Progress
from adapter_contract.records import ByInputPointer, Owner, RunRecord
from adapter_contract.server_config import ServerConfig
from adapter_contract.trainer_config import TrainerConfig
from adapter_contract.trainer_result import TrainerResult

DOCUMENT_KINDS: Mapping[str, type[Document]] = MappingProxyType(
    {
        document.kind: document
        for document in (
            AdapterManifest,
            AdapterReport,
            AdapterSet,
            ByInputPointer,
            Owner,
            PreflightReport,
            Progress,
            RunRecord,
            ServerConfig,
            TrainerConfig,
            TrainerResult,
        )
    }
)


def read_document(data: bytes | str, *, max_bytes: int = 1 << 20) -> Document:
    """Read a document of whatever kind it names; errors as in `Document.from_json`."""
    document = parse_object(data, limit=max_bytes)
    kind = document.get("kind")
    known = DOCUMENT_KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise WrongKind(f"expected one of the kinds {', '.join(DOCUMENT_KINDS)}")
    return known.from_object(document)
