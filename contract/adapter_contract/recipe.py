"""What is trained and how, with every default resolved: part of the configuration and of the manifest.

The choices are those of the API of the same names. A reader that does not know a member refuses the document.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from adapter_contract.documents import Part
from adapter_contract.scalars import Count, DecimalString, PositiveCount

Switch = Literal["Enabled", "Disabled"]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,255}$")]
ModuleNames = Annotated[tuple[ModuleName, ...], Field(min_length=1, max_length=64)]
MetricName = Literal["Loss", "Perplexity", "TokenAccuracy", "ExactMatch", "RougeL", "PreferenceAccuracy"]
MethodType = Literal["LoRA", "IA3", "PromptTuning", "PrefixTuning", "Bottleneck"]


class LoRA(Part):
    """Low-rank adaptation; on an NF4 base it is QLoRA, with weight decomposition DoRA."""

    type: Literal["LoRA"] = "LoRA"
    rank: PositiveCount
    alpha: PositiveCount
    dropout: DecimalString
    target_modules: ModuleNames
    scaling: Literal["Standard", "RankStabilized"]
    weight_decomposition: Switch
    initialization: Literal["Default", "PiSSA"]


class IA3(Part):
    """Learned vectors that rescale activations; with no modules named, the model family decides."""

    type: Literal["IA3"] = "IA3"
    target_modules: ModuleNames | None = None
    feedforward_modules: ModuleNames | None = None


class PromptTuning(Part):
    """Learned embeddings before the prompt."""

    type: Literal["PromptTuning"] = "PromptTuning"
    virtual_tokens: PositiveCount
    initial_text: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None


class PrefixTuning(Part):
    """Learned keys and values before every layer's own."""

    type: Literal["PrefixTuning"] = "PrefixTuning"
    virtual_tokens: PositiveCount


class Bottleneck(Part):
    """Small feed-forward layers inside each block, `size` units wide."""

    type: Literal["Bottleneck"] = "Bottleneck"
    architecture: Literal["Pfeiffer", "Houlsby"]
    size: PositiveCount


Method = Annotated[LoRA | IA3 | PromptTuning | PrefixTuning | Bottleneck, Field(discriminator="type")]


class Quantization(Part):
    """How the frozen base is held while training."""

    type: Literal["NF4", "FP4", "Int8", "None"]
    compute_type: Literal["BFloat16", "Float16", "Float32"]
    double_quantization: Switch


class SupervisedFineTuning(Part):
    """Learn the given answers, or all tokens."""

    type: Literal["SupervisedFineTuning"] = "SupervisedFineTuning"
    loss_on: Literal["Completion", "All"]


class DirectPreferenceOptimization(Part):
    """Learn to prefer the chosen over the rejected answers; `beta` holds the result to the model as training begins."""

    type: Literal["DirectPreferenceOptimization"] = "DirectPreferenceOptimization"
    beta: DecimalString


Objective = Annotated[SupervisedFineTuning | DirectPreferenceOptimization, Field(discriminator="type")]


class Hyperparameters(Part):
    """How long and how fast to learn.

    Attributes:
        epochs: passes over the training examples.
        max_steps: bound of optimizer steps, where one is set.
        learning_rate: the peak.
        warmup: share of the steps in which the learning rate rises from 0.
        batch_size: examples per optimizer step.
        max_sequence_length: tokens per example.
        max_gradient_norm: what gradients are clipped to; "0" clips nothing.
    """

    epochs: DecimalString
    max_steps: PositiveCount | None = None
    learning_rate: DecimalString
    scheduler: Literal["Cosine", "Linear", "Constant"]
    warmup: DecimalString
    batch_size: PositiveCount
    max_sequence_length: PositiveCount
    packing: Switch
    seed: Count
    optimizer: Literal["AdamW"]
    weight_decay: DecimalString
    max_gradient_norm: DecimalString


class SelectBest(Part):
    """Publish the step with the best value of this metric."""

    metric: MetricName


class EarlyStopping(Part):
    """End after so many evaluations in a row without a better value."""

    patience: PositiveCount


class Recipe(Part):
    """Method, quantization of the base, objective and hyperparameters: what makes the weights."""

    method: Method
    quantization: Quantization
    objective: Objective
    hyperparameters: Hyperparameters

    @model_validator(mode="after")
    def _preference_needs_lora(self) -> Self:
        if self.objective.type == "DirectPreferenceOptimization" and self.method.type != "LoRA":
            raise ValueError("DirectPreferenceOptimization needs method LoRA")
        return self
