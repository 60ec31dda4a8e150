"""A base model in a repository of the Hub, as the contract looks at base models."""

from collections.abc import Iterable, Iterator, Set

from adapter_contract import Digest, sha256_chunks
from adapter_contract.s3.base_model_files import TEMPLATES_DIRECTORY, ModelFile
from adapter_contract.s3.errors import NotFound
from adapter_trainer.inputs.hub import HubRepository


class HubModel:
    """The files of a base model by relative path: `adapter_contract.s3.base_model_files.ModelFiles`.

    Headers of weights can be read and the base digest be found without a download of the weights.
    """

    def __init__(self, repository: HubRepository) -> None:
        self.uri = f"{repository.uri}/"
        self._repository = repository

    def list(self) -> Set[str]:
        """Return the files at the top, and the additional chat templates."""
        return {path for path in self._repository.files if path.rpartition("/")[0] in {"", TEMPLATES_DIRECTORY}}

    def stat(self, path: str) -> ModelFile:
        """Return size and mark of a file that must be there."""
        file = self._repository.files.get(path)
        if file is None:
            raise NotFound("look at", self.uri + path, "the file is not there", "correct the revision")
        return ModelFile(file.size_bytes, f"blob:{file.blob}")

    def read(self, path: str, start: int, length: int) -> bytes:
        """Return exactly these bytes."""
        return self._repository.read(path, start, length)

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the whole content, in chunks of 1 MiB."""
        return self._repository.chunks(path)

    def content_digests(self, names: Iterable[str]) -> dict[str, Digest]:
        """Return the digests of whole files: as listed; only small files that are listed without one are read."""
        return {name: self._repository.files[name].digest or sha256_chunks(self.chunks(name)) for name in names}
