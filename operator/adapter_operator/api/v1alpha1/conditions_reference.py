"""The truth table of conditions in Markdown."""

from collections.abc import Iterator

from adapter_operator.api.v1alpha1.situations import FURTHER_CONDITIONS, SITUATIONS, KindName


def conditions_reference() -> Iterator[str]:
    """The truth table of conditions with every reason."""
    yield from ["## Conditions", "", "Reconciling and Stalled are there only while they are True.", ""]
    kinds: tuple[KindName, ...] = ("AdapterTraining", "AdapterDeployment")
    for kind in kinds:
        yield from [f"### {kind} conditions", ""]
        yield from ["| when | Ready | Reconciling | Stalled |", "|---|---|---|---|"]
        rows = [situation for situation in SITUATIONS if situation.kind == kind]
        for row in rows:
            shown = {"Reconciling": "absent", "Stalled": "absent"} | ({row.abnormal: "True"} if row.abnormal else {})
            resolved = f" (AdaptersResolved {row.resolved})" if row.resolved else ""
            yield f"| {row.when} | {row.ready}{resolved} | {shown['Reconciling']} | {shown['Stalled']} |"
        yield from ["", "| reason | situation | meaning |", "|---|---|---|"]
        for row in rows:
            for reason, meaning in row.reasons.items():
                yield f"| {reason} | {row.name} | {meaning} |"
        yield from ["", "| further condition | when True |", "|---|---|"]
        for type_, meaning in FURTHER_CONDITIONS[kind].items():
            yield f"| {type_} | {meaning} |"
        yield ""
