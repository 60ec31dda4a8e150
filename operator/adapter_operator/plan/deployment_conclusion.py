"""What the planner concludes of a deployment or one of its adapters."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Conclusion:
    """A reason of the truth table, and the sentence for people: what happened and what to do."""

    reason: str
    message: str
