"""What is trained and how: PEFT method, quantization of the base, objective, hyperparameters."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapter_operator.api.schema.markers import (
    LIST_ATOMIC,
    STRUCT_ATOMIC,
    EmptyIsDefault,
    ListSet,
    Rule,
    Unordered,
    member_of_type,
)
from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.v1alpha1.scalars import (
    Fraction,
    ModuleName,
    NonNegativeDecimal,
    PositiveDecimal,
)

Switch = Literal["Enabled", "Disabled"]
ModuleSet = Annotated[list[ModuleName], Field(min_length=1, max_length=64), ListSet()]

# The learning rate that is meant where none is given. Part of the API: it never changes inside a version.
# LoRA: the QLoRA paper (arXiv 2305.14314) for models up to 13B. IA3 and prompt tuning: the examples of PEFT's
# documentation. Bottleneck: the default of the adapters library. Direct preference: alignment-handbook's recipe.
DEFAULT_LEARNING_RATES = {
    "LoRA": "2e-4",
    "IA3": "8e-3",
    "PromptTuning": "3e-2",
    "PrefixTuning": "1e-2",
    "Bottleneck": "1e-4",
}
DEFAULT_PREFERENCE_LEARNING_RATE = "5e-6"


class LoRA(APIModel):
    """Low-rank adaptation. On an NF4 base it is QLoRA; with weight decomposition it is DoRA."""

    rank: int = Field(16, ge=1, le=512, description="Rank of the two matrices.")
    alpha: int = Field(
        32,
        ge=1,
        le=4096,
        description="Scaling numerator: the update is multiplied by alpha/rank; twice the rank is usual.",
    )
    dropout: Fraction = Field(
        "0.05",
        description="Share of the adapter's inputs that is dropped while training. With PiSSA it must be 0, or else "
        "principal parts of the base would be dropped.",
    )
    target_modules: Annotated[list[ModuleName], Field(min_length=1, max_length=64), LIST_ATOMIC, Unordered()] = Field(
        ["all-linear"],
        description="Names of the modules that get an adapter, or all-linear: every linear layer except the output "
        "head.",
    )
    scaling: Literal["Standard", "RankStabilized"] = Field(
        "Standard",
        description="Standard divides alpha by the rank, RankStabilized by its square root (rsLoRA).",
    )
    weight_decomposition: Switch = Field(
        "Disabled",
        description="Enabled also trains each weight's magnitude (DoRA): slower, and not served by vLLM.",
    )
    initialization: Literal["Default", "PiSSA"] = Field(
        "Default",
        description="Default starts from no change. PiSSA starts from the principal singular vectors of the "
        "unquantized base; the saved adapter is converted to fit the unchanged base.",
    )


class IA3(APIModel):
    """Learned vectors that rescale activations: a few thousand parameters."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.feedforwardModules) || "
            "(has(self.targetModules) && self.feedforwardModules.all(m, m in self.targetModules))",
            message="feedforwardModules must be among targetModules: add them there",
            holds=lambda ia3: (
                ia3.feedforward_modules is None or set(ia3.feedforward_modules) <= set(ia3.target_modules or [])
            ),
            field_path=".feedforwardModules",
        ),
    )

    target_modules: ModuleSet | None = Field(
        None,
        description="Names of the modules to rescale. Default: keys, values and the feed-forward output of the family.",
    )
    feedforward_modules: ModuleSet | None = Field(
        None,
        description="Which of targetModules are feed-forward layers, whose inputs are rescaled. Default: by family.",
    )


class PromptTuning(APIModel):
    """Learned embeddings before the prompt."""

    virtual_tokens: int = Field(20, ge=1, le=1024, description="Number of learned tokens.")
    initial_text: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None,
        description="Text whose embeddings the learned tokens start from. Default: random tokens of the vocabulary.",
    )


class PrefixTuning(APIModel):
    """Learned keys and values before every layer's own."""

    virtual_tokens: int = Field(20, ge=1, le=1024, description="Number of learned positions.")


class Bottleneck(APIModel):
    """Small feed-forward layers inserted into each block. Served by the Transformers engine only."""

    architecture: Literal["Pfeiffer", "Houlsby"] = Field(
        "Pfeiffer",
        description="Pfeiffer: one after the feed-forward layer. Houlsby: also one after attention.",
    )
    size: int = Field(64, ge=1, le=4096, description="Width of the bottleneck.")


class Method(APIModel):
    """The PEFT method: a type, and its own settings in the member of that name."""

    rules: ClassVar[tuple[Rule, ...]] = (
        member_of_type("lora", "LoRA"),
        member_of_type("ia3", "IA3"),
        member_of_type("promptTuning", "PromptTuning"),
        member_of_type("prefixTuning", "PrefixTuning"),
        member_of_type("bottleneck", "Bottleneck"),
    )

    type: Literal["LoRA", "IA3", "PromptTuning", "PrefixTuning", "Bottleneck"] = Field(
        "LoRA", description="PEFT method. QLoRA is LoRA with quantization type NF4."
    )
    lora: Annotated[LoRA | None, EmptyIsDefault(), STRUCT_ATOMIC] = Field(
        None, description="Settings of LoRA. Default: those shown in its fields."
    )
    ia3: Annotated[IA3 | None, EmptyIsDefault(), STRUCT_ATOMIC] = Field(
        None, description="Settings of IA3. Default: those shown in its fields."
    )
    prompt_tuning: Annotated[PromptTuning | None, EmptyIsDefault(), STRUCT_ATOMIC] = Field(
        None, description="Settings of PromptTuning. Default: those shown in its fields."
    )
    prefix_tuning: Annotated[PrefixTuning | None, EmptyIsDefault(), STRUCT_ATOMIC] = Field(
        None, description="Settings of PrefixTuning. Default: those shown in its fields."
    )
    bottleneck: Annotated[Bottleneck | None, EmptyIsDefault(), STRUCT_ATOMIC] = Field(
        None, description="Settings of Bottleneck. Default: those shown in its fields."
    )


class Quantization(APIModel):
    """How the frozen base is held in memory while training."""

    type: Literal["NF4", "FP4", "Int8", "None"] = Field(
        "NF4",
        description="Format of the base's weights. NF4 with LoRA is QLoRA; None keeps them in computeType.",
    )
    compute_type: Literal["BFloat16", "Float16", "Float32"] = Field(
        "BFloat16", description="Type that products are computed in."
    )
    double_quantization: Switch = Field(
        "Enabled",
        description="Enabled also quantizes the constants of NF4 and FP4: about 0.4 bit per weight less.",
    )


class DirectPreference(APIModel):
    """Settings of direct preference optimization."""

    beta: PositiveDecimal = Field("0.1", description="How strongly the result is held to the base: higher is closer.")


class Objective(APIModel):
    """What the training minimizes."""

    rules: ClassVar[tuple[Rule, ...]] = (member_of_type("directPreference", "DirectPreferenceOptimization"),)

    type: Literal["SupervisedFineTuning", "DirectPreferenceOptimization"] = Field(
        "SupervisedFineTuning",
        description="SupervisedFineTuning learns the given answers; DirectPreferenceOptimization learns to prefer the "
        "chosen over the rejected ones.",
    )
    direct_preference: Annotated[DirectPreference | None, EmptyIsDefault(), STRUCT_ATOMIC] = Field(
        None, description="Settings of DirectPreferenceOptimization. Default: those shown in its fields."
    )
    loss_on: Literal["Completion", "All"] = Field(
        "Completion",
        description="Which tokens are learned: the answers alone, or prompts too. Examples of the Text format have no "
        "prompt: all their tokens are learned.",
    )


class Hyperparameters(APIModel):
    """How long and how fast to learn."""

    epochs: PositiveDecimal = Field("3", description="Passes over the training examples; a fraction is a part of one.")
    max_steps: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Optimizer steps after which training ends, even if epochs are left. Default: no bound.",
    )
    learning_rate: PositiveDecimal | None = Field(
        None,
        description='Peak learning rate, quoted: "2e-4". Default by method: LoRA 2e-4, IA3 8e-3, PromptTuning 3e-2, '
        "PrefixTuning 1e-2, Bottleneck 1e-4; 5e-6 for DirectPreferenceOptimization.",
    )
    scheduler: Literal["Cosine", "Linear", "Constant"] = Field(
        "Cosine",
        description="Course of the learning rate after the warm-up: down to 0 by a cosine or a line, or constant.",
    )
    warmup: Fraction = Field("0.03", description="Share of the steps in which the learning rate rises from 0.")
    batch_size: int = Field(
        16, ge=1, le=65536, description="Examples per optimizer step, whatever fits into memory at once."
    )
    max_sequence_length: int = Field(
        1024, ge=8, le=1_048_576, description="Tokens per example; longer ones are cut at the end."
    )
    packing: Switch = Field(
        "Enabled",
        description="Enabled computes several examples of one step together, without padding and without attention "
        "between them: the result is the same, faster.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of order, dropout and initialization.")
    optimizer: Literal["AdamW"] = Field("AdamW", description="Optimizer.")
    weight_decay: NonNegativeDecimal = Field("0", description="Decoupled weight decay.")
    max_gradient_norm: NonNegativeDecimal = Field(
        "1", description="Norm that gradients are clipped to; 0 clips nothing."
    )
