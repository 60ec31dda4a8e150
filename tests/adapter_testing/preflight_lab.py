"""A run whose inputs are all right, and ways to break one of them, for the tests of preflight."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapter_contract import PreflightReport, TrainerConfig
from adapter_testing.trainer_lab import trainer_config, write_chats
from adapter_trainer.environment import Configuration
from adapter_trainer.preflight.checkup import Checkup
from adapter_trainer.preflight.memory import EstimateMemory
from adapter_trainer.preflight.report import make_report

EXAMPLES = 700
"""Of a dataset that there is nothing to say about."""


class PreflightWorld:
    """Base model, dataset and output of one run in a directory of their own.

    Attributes:
        base, data, output: directory of the base model, file of the examples, directory of the output.
        changes: members of the configuration that are changed.
    """

    def __init__(self, directory: Path, base: Path) -> None:
        self.directory = directory
        self.base = Path(shutil.copytree(base, directory / "base"))
        self.data = write_chats(directory / "data" / "train.jsonl", EXAMPLES)
        self.output = directory / "store"
        self.changes: dict[str, Any] = {"preflight": {"mode": "Enforce"}}

    @property
    def config(self) -> TrainerConfig:
        """The configuration as it is now."""
        source = {"type": "Path", "path": str(self.data)}
        plain = trainer_config(dataset=source, base_model=self.base, output=f"file://{self.output}")
        document = json.loads(plain.to_json())
        for name, value in self.changes.items():
            # A member that is an object is changed in part; None removes a member of it.
            merged = document.get(name, {}) | value if isinstance(value, dict) else value
            document[name] = _without_none(merged) if isinstance(merged, dict) else merged
        return TrainerConfig.from_object(_without_none(document))

    def change(self, **members: object) -> None:
        """Replace members of the configuration; of one that is an object only those members that are given."""
        for name, value in members.items():
            known = self.changes.get(name)
            both = isinstance(known, dict) and isinstance(value, dict)
            self.changes[name] = {**known, **value} if both else value

    def append(self, *rows: Mapping[str, object] | str) -> None:
        """Add lines to the dataset."""
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        with self.data.open("a") as stream:
            stream.write("".join(f"{line}\n" for line in lines))

    def rows(self, rows: list[dict[str, object]]) -> None:
        """Replace the dataset."""
        self.data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def change_base(self, **members: object) -> None:
        """Change config.json of the base model."""
        edit_json(self.base / "config.json", members)

    def check(self, *, estimate: EstimateMemory | None = None) -> PreflightReport:
        """Run all checks in this process."""
        config = self.config
        checkup = Checkup(Configuration(config, config), self.directory / "work", estimate=estimate)
        checkup.run()
        return make_report(checkup.ledger, checkup.facts, run=1, mode=config.preflight.mode)


def _without_none(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


Break = Callable[[PreflightWorld], None]


def edit_json(path: Path, members: Mapping[str, object]) -> None:
    """Replace members of a JSON file; None removes one."""
    document = json.loads(path.read_bytes()) | members
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))


def chat(question: str, answer: str) -> dict[str, object]:
    """Return an example."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def codes(report: PreflightReport) -> tuple[set[str], set[str]]:
    """Return the codes of errors and of warnings."""
    return {finding.code for finding in report.errors}, {finding.code for finding in report.warnings}
