"""What can be wrong with a document or an artifact.

All of it is a `ContractError`; the subclasses are named by what they say of the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ContractError(ValueError):
    """Something that travels between the parts breaks the contract."""


class NotJSON(ContractError):
    """The bytes are not one JSON object: bad UTF-8, bad syntax, a repeated key, a number beyond IEEE 754."""


class DocumentTooLarge(ContractError):
    """The bytes exceed the limit of their kind; they were not parsed."""


class WrongKind(ContractError):
    """The JSON object is a document of another kind, or of none."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One complaint about one field: the path as it stands in the JSON (`run.number`) and what is wrong."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class InvalidDocument(ContractError):
    """A document of the right kind and version whose fields do not fit; `problems` lists all of them."""

    def __init__(self, kind: str, problems: Sequence[FieldProblem]) -> None:
        self.kind = kind
        self.problems = tuple(problems)
        super().__init__(f"{kind} is not valid: " + "; ".join(str(problem) for problem in self.problems))


class UnsupportedSchemaVersion(ContractError):
    """The document was written by a release too old or too new for this one."""

    def __init__(self, kind: str, found: int, understood: Sequence[int], upgrade: str) -> None:
        self.kind = kind
        self.found = found
        self.understood = tuple(understood)
        self.upgrade = upgrade
        versions = " and ".join(str(version) for version in self.understood)
        super().__init__(
            f"{kind} has schemaVersion {found}, but this release understands {versions}: upgrade {upgrade}"
        )
