"""How good the result is, and how good it has to be: evaluation, promotion gates."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapter_operator.api.schema.markers import (
    LIST_ATOMIC,
    ListMap,
    Location,
    NotStored,
    Rule,
    Unordered,
    member_of_type,
    one_of,
)
from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.v1alpha1.references import DatasetSource
from adapter_operator.api.v1alpha1.scalars import DNSLabel, HoldoutPercent, Percent, SignedDecimal

Metric = Literal["Loss", "Perplexity", "TokenAccuracy", "ExactMatch", "RougeL", "PreferenceAccuracy"]


class Holdout(APIModel):
    """The examples that are never trained on: a share of the dataset, or a dataset of their own."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("percent", "source", what="evaluation.holdout"),)

    percent: HoldoutPercent | None = Field(
        None,
        description="Share of the dataset that is held out, in percent, chosen by a digest of each example: the same "
        "on every run.",
    )
    source: Annotated[DatasetSource | None, Location()] = Field(
        None, description="A dataset of the same format to evaluate on."
    )


class SelectBest(APIModel):
    """Publish the best evaluated step instead of the last."""

    metric: Metric = Field("Loss", description="The metric that decides; it must be among evaluation.metrics.")


class EarlyStopping(APIModel):
    """End the training when it no longer gets better."""

    patience: int = Field(
        3,
        ge=1,
        le=1000,
        description="Evaluations in a row without a better value of selectBest.metric (else of Loss).",
    )


class Evaluation(APIModel):
    """What is measured on held-out examples, and when."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.selectBest) || self.selectBest.metric in self.metrics",
            message="selectBest.metric must be among evaluation.metrics: add it there",
            holds=lambda evaluation: (
                evaluation.select_best is None or evaluation.select_best.metric in evaluation.metrics
            ),
            field_path=".selectBest",
        ),
        Rule(
            cel="!has(self.earlyStopping) || has(self.selectBest) || 'Loss' in self.metrics",
            message="earlyStopping watches Loss where selectBest is not set: add Loss to evaluation.metrics, or set "
            "selectBest",
            holds=lambda evaluation: (
                evaluation.early_stopping is None or evaluation.select_best is not None or "Loss" in evaluation.metrics
            ),
            field_path=".earlyStopping",
        ),
    )

    holdout: Annotated[Holdout, NotStored()] = Field(
        Holdout(percent="5"), description="The examples to evaluate on. Default: 5 percent of the dataset."
    )
    interval_steps: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Optimizer steps between evaluations. Default: at the end of each epoch.",
    )
    metrics: Annotated[list[Metric], Field(min_length=1, max_length=6), LIST_ATOMIC, Unordered()] = Field(
        ["Loss"],
        description="What to measure. ExactMatch and RougeL generate answers, which takes longer; PreferenceAccuracy "
        "needs "
        "DirectPreferenceOptimization.",
    )
    select_best: SelectBest | None = Field(
        None, description="Publish the best evaluated step. Default: the last step is published."
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="Stop when no longer better. Default: all steps are trained."
    )


class Threshold(APIModel):
    """A fixed bound for a metric."""

    operator: Literal["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual"] = Field(
        description="How the measured value must compare with value."
    )
    value: SignedDecimal = Field(description='The bound, quoted: "1.50".')


class Regression(APIModel):
    """A bound relative to the version promoted before."""

    max_percent: Percent = Field(
        description="By how many percent the metric may be worse than that of the version promoted before. Only equal "
        "evaluation sets compare; the first version passes."
    )


class Gate(APIModel):
    """A condition that a result must meet to be promoted: a type, and its settings in the member of that name."""

    rules: ClassVar[tuple[Rule, ...]] = (
        member_of_type("threshold", "Threshold", required=True),
        member_of_type("regression", "Regression", required=True),
    )

    name: DNSLabel = Field(description="Name of the gate in status and events.")
    type: Literal["Threshold", "Regression"] = Field(
        description="Threshold compares with a number, Regression with the version promoted before."
    )
    metric: Metric = Field(description="The metric that is judged; it must be among evaluation.metrics.")
    threshold: Threshold | None = Field(None, description="The bound of a Threshold gate.")
    regression: Regression | None = Field(None, description="The bound of a Regression gate.")


class Promotion(APIModel):
    """When a result may replace the version in service."""

    gates: Annotated[list[Gate], Field(max_length=16), ListMap(("name",))] = Field(
        [],
        description="All must pass. An edit is judged again on the latest run, without a GPU. Default: none.",
    )
