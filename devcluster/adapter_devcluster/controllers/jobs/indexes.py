"""Sets of completion indexes in their text form (``1,3-5,7``), and the success policy over them.

Source: ``pkg/controller/job/{indexed_job_utils,success_policy}.go``, v1.36.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from adapter_devcluster.objects import Object


def parse_indexes(text: str, completions: int) -> frozenset[int]:
    """Read the text form. Indexes that the job does not have (any more) and what is no number are left out."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), min(int(last or first) + 1, completions)))
    return frozenset(found)


def format_indexes(indexes: Iterable[int]) -> str:
    """Write the text form: three and more in a row become a range."""
    parts: list[str] = []
    run: list[int] = []
    for index in sorted(indexes):
        if run and index != run[-1] + 1:
            parts += _format_run(run)
            run = []
        run.append(index)
    return ",".join(parts + _format_run(run))


def _format_run(run: Sequence[int]) -> list[str]:
    return [f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(index) for index in run]


def matching_success_rule(rules: Sequence[Object], completions: int, succeeded: frozenset[int]) -> int | None:
    """Return the position of the first rule of ``successPolicy`` that is met."""
    for position, rule in enumerate(rules):
        count = rule.get("succeededCount")
        if rule.get("succeededIndexes") is None:
            met = count is not None and len(succeeded) >= count
        else:
            wanted = parse_indexes(rule["succeededIndexes"], completions)
            have = len(wanted & succeeded)
            met = bool(wanted) and (have == len(wanted) or (count is not None and have >= count))
        if met and succeeded:
            return position
    return None
