"""The rows of one set of files: read, labelled, and known by digests of what they say."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from adapter_trainer.errors import BadData
from adapter_trainer.examples.content import Content, canonical_bytes
from adapter_trainer.examples.example import Unit
from adapter_trainer.examples.formats.row_reader import RowReader
from adapter_trainer.examples.labelling import Labeller
from adapter_trainer.examples.readers.files import read_files
from adapter_trainer.examples.readers.row import Refused

_ROWS_AT_A_TIME = 512
"""So many rows are encoded together; what they say is forgotten afterwards."""


@dataclass
class LabelledRows:
    """The rows that can be learned from, in order. Of what they say only digests are kept.

    Attributes:
        units: of each row.
        digests: SHA-256 of what each row says, as canonical JSON.
        prompts: a digest of what stands before the answer of each row; empty where there is no prompt.
        unusable: where rows stand that keep nothing to learn.
    """

    units: list[tuple[Unit, ...]] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    prompts: list[bytes] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)

    def at(self, positions: Sequence[int]) -> "LabelledRows":
        """Return the rows at these positions, in their order."""
        return LabelledRows(
            [self.units[position] for position in positions],
            [self.digests[position] for position in positions],
            [self.prompts[position] for position in positions],
        )

    def all_units(self) -> tuple[Unit, ...]:
        """Return the units of all rows."""
        return tuple(unit for units in self.units for unit in units)


def label_rows(files: Sequence[Path], reader: RowReader, labeller: Labeller, refused: Refused) -> LabelledRows:
    """Read and label the rows of files.

    Args:
        files: in order.
        reader: of their format.
        labeller: gives tokens and labels.
        refused: is told of each row that can't be read.
    """
    found = LabelledRows()
    contents = _contents(files, reader, refused)
    while batch := list(islice(contents, _ROWS_AT_A_TIME)):
        labelled = labeller.label([content for content, _ in batch], [where for _, where in batch])
        for (content, where), units in zip(batch, labelled, strict=True):
            if isinstance(units, BadData):
                refused(units)
            elif not units:
                found.unusable.append(where)
            else:
                found.units.append(units)
                found.digests.append(hashlib.sha256(canonical_bytes(content.as_json())).digest())
                prompt = content.prompt_as_json()
                found.prompts.append(
                    b"" if prompt is None else hashlib.blake2b(canonical_bytes(prompt), digest_size=16).digest()
                )
    return found


def _contents(files: Sequence[Path], reader: RowReader, refused: Refused) -> Iterator[tuple[Content, str]]:
    for row in read_files(files, refused):
        try:
            content = reader.read(row)
            canonical_bytes(content.as_json())
        except BadData as error:
            refused(error)
        except UnicodeEncodeError:
            refused(BadData(f"{row.where} holds text that is not Unicode (a lone surrogate): correct the escape"))
        else:
            yield content, row.where
