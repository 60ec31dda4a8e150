"""Bad rows take no memory, however many they are."""

import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from adapter_testing.learning_lab import learning_config
from adapter_testing.trainer_lab import build_tokenizer
from adapter_trainer.errors import BadData
from adapter_trainer.examples.formats.row_reader import RowReader
from adapter_trainer.examples.prepare import prepare_examples
from adapter_trainer.examples.readers.row import Row
from adapter_trainer.examples.templates import load_tokenizer
from adapter_trainer.inputs.dataset import FetchedDataset
from adapter_trainer.preflight.base_model import BaseFacts
from adapter_trainer.preflight.data import FetchedData, check_examples
from adapter_trainer.preflight.ledger import Ledger

pytestmark = pytest.mark.unit


class _Watched(dict[str, Any]):
    """A row's object that can be watched."""

    __hash__ = object.__hash__


@pytest.mark.parametrize("with_tokenizer", [True, False])
def test_the_rows_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_tokenizer: bool) -> None:
    alive: weakref.WeakSet[_Watched] = weakref.WeakSet()
    most = 0
    reads = RowReader.read

    def watched(reader: RowReader, row: Row) -> object:
        nonlocal most
        value = _Watched(row.value)
        alive.add(value)
        most = max(most, len(alive))
        return reads(reader, Row(row.where, value))

    monkeypatch.setattr(RowReader, "read", watched)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": number}) + "\n" for number in range(400)))
    ledger = Ledger()
    base = BaseFacts(tokenizer=load_tokenizer(build_tokenizer(tmp_path / "tokenizer")) if with_tokenizer else None)
    check_examples(ledger, learning_config(), FetchedData(FetchedDataset((path,), "", ""), None), base)
    assert [finding.count for finding in ledger.errors] == [400]
    assert most < 100


def test_a_file_without_one_good_row_is_told_row_by_row_and_nothing_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{\n" * 300)
    alive: weakref.WeakSet[BadData] = weakref.WeakSet()
    most = count = 0

    def refused(error: BadData) -> None:
        nonlocal most, count
        alive.add(error)
        count += 1
        most = max(most, len(alive))

    tokenizer = load_tokenizer(build_tokenizer(tmp_path / "tokenizer"))
    with pytest.raises(BadData):
        prepare_examples([path], None, tokenizer, learning_config(), refused=refused)
    assert count == 300
    assert most < 100
