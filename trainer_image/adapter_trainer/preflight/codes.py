"""What preflight can find: a stable code for each, for programs, with how bad it is and what it means.

The documentation's table is made from this one. A code never changes its meaning; what is new gets a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType

from adapter_contract import ExitCode


class Severity(StrEnum):
    """Whether a run with it can start."""

    ERROR = "Error"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code stands for.

    Attributes:
        exit_code: the class of the failure, for an error; None for a warning.
        text: a sentence for the documentation.
    """

    exit_code: ExitCode | None
    text: str

    @property
    def severity(self) -> Severity:
        """An error has a class of failure."""
        return Severity.WARNING if self.exit_code is None else Severity.ERROR


def _error(exit_code: ExitCode, text: str) -> Meaning:
    return Meaning(exit_code, text)


def _warning(text: str) -> Meaning:
    return Meaning(None, text)


class Code(Enum):
    """Every code with its meaning; the name of a member is the code."""

    Interrupted = _error(ExitCode.INTERRUPTED, "Preflight was told to stop before it was done.")
    CheckFailed = _error(ExitCode.INTERNAL, "A check could not be carried out: a bug, a full disk, too little memory.")
    CheckSkipped = _warning("Something was not checked, since it depends on what is missing or wrong.")
    PreflightDisabled = _warning("preflight.mode is Disabled: nothing was checked.")

    ConfigurationInvalid = _error(ExitCode.BAD_CONFIGURATION, "The configuration or the environment can't be read.")
    RecipeUnsupported = _error(ExitCode.BAD_CONFIGURATION, "This release can't train what the configuration asks for.")
    TargetModulesInvalid = _error(
        ExitCode.BAD_CONFIGURATION, "A module to adapt does not exist in the base model or can't be adapted."
    )
    GPUMemoryInsufficient = _error(
        ExitCode.BAD_CONFIGURATION,
        "The training needs more than the GPU's memory (gpuMemoryBytes), even one example at a time.",
    )
    GPUMemoryTight = _warning(
        "The training will need nearly all the memory of the GPU, or goes on more slowly in less."
    )
    LessThanOneBatch = _warning("All epochs together have fewer examples than one optimizer step takes.")

    DatasetNotFound = _error(ExitCode.INPUT_MISSING, "There is no dataset at its location.")
    DatasetAccessDenied = _error(ExitCode.PERMISSION, "The dataset's store or volume refuses access.")
    DatasetUnreachable = _error(ExitCode.STORAGE_UNAVAILABLE, "The dataset's store or volume does not answer.")
    DatasetUnsupported = _error(
        ExitCode.BAD_CONFIGURATION, "The dataset's source, file type, format or columns can't be used as configured."
    )
    DatasetUnreadable = _error(ExitCode.BAD_DATA, "The dataset as a whole is not what it is said to be.")
    DatasetDigestMismatch = _error(ExitCode.BAD_DATA, "The dataset has other bytes than dataset.digest pins.")
    ExamplesInvalid = _error(
        ExitCode.BAD_DATA, "Examples can't be read, lack a part or hold something of a wrong type."
    )
    TooManyUnusableExamples = _error(
        ExitCode.BAD_DATA, "More examples have nothing to learn from than dataset.unusableExamples allows."
    )
    NothingToLearn = _error(ExitCode.BAD_DATA, "There is no example, or none that can be learned from.")
    TooFewToHoldOut = _error(ExitCode.BAD_DATA, "Fewer than two different examples: none can be held out.")
    ChatTemplateMissing = _error(
        ExitCode.BAD_CONFIGURATION, "The examples are conversations, but the base model has no chat template."
    )
    ExamplesDropped = _warning("Examples have nothing to learn from and will be left out.")
    ExamplesTruncated = _warning("Examples are longer than maxSequenceLength and will be cut.")
    AnswersTruncated = _warning("Answers lose their end to maxSequenceLength, and with it the token that ends them.")
    EndOfTurnNotTrained = _warning("Answers end without a special token: served answers may not stop.")
    AnswerBeginsOtherwise = _warning("The template's prompt begins answers otherwise than they stand in the examples.")
    ConversationsSplit = _warning("The template rewrites earlier turns: each answer is learned behind its own prompt.")
    AnswersEmpty = _warning("Answers are empty: only the token that ends them is learned.")
    AnswersEqual = _warning("The chosen and the rejected answer are equal: there is nothing to prefer.")
    FormatAmbiguous = _warning("The examples have the columns of several formats; the first that fits is read.")
    FewExamples = _warning("There are fewer than 500 examples to learn from.")
    DuplicateExamples = _warning("Many examples stand in the dataset more than once.")
    EvaluationLeak = _warning("Examples to evaluate on are also learned: the metrics will be too good.")
    EvaluationPromptLeak = _warning("Prompts to evaluate on are also learned, with other answers.")
    EvaluationLargerThanTraining = _warning("There are more examples to evaluate on than to learn from.")

    BaseModelNotFound = _error(ExitCode.INPUT_MISSING, "The base model, or a file that it needs, is not there.")
    BaseModelAccessDenied = _error(ExitCode.PERMISSION, "The base model's store or volume refuses access.")
    BaseModelUnreachable = _error(ExitCode.STORAGE_UNAVAILABLE, "The base model's store or volume does not answer.")
    BaseModelUnsupported = _error(
        ExitCode.BAD_CONFIGURATION, "The base model is of a family, form or size that can't be trained."
    )
    BaseModelDamaged = _error(ExitCode.BAD_DATA, "A file of the base model is cut or is not what it should be.")
    BaseModelDigestMismatch = _error(ExitCode.BAD_DATA, "The base model is another than baseModel.digest pins.")
    BaseModelRemark = _warning("The base model has a property that changes how it is trained.")
    TokenizerInvalid = _error(ExitCode.BAD_CONFIGURATION, "The base model's tokenizer can't be loaded.")

    ParentNotFound = _error(ExitCode.INPUT_MISSING, "The adapter to go on from (initializeFrom) is not there.")
    ParentAccessDenied = _error(ExitCode.PERMISSION, "The store of the adapter to go on from refuses access.")
    ParentUnreachable = _error(ExitCode.STORAGE_UNAVAILABLE, "The store of the adapter to go on from does not answer.")
    ParentUnfit = _error(ExitCode.BAD_CONFIGURATION, "The adapter to go on from does not fit base model or method.")
    ParentDamaged = _error(ExitCode.BAD_DATA, "The adapter to go on from is not what its digest promises.")

    OutputNotFound = _error(ExitCode.INPUT_MISSING, "The bucket or directory of the output is not there.")
    OutputAccessDenied = _error(ExitCode.PERMISSION, "The output's store refuses to be written to.")
    OutputUnreachable = _error(ExitCode.STORAGE_UNAVAILABLE, "The output's store does not answer.")
    OutputUnsupported = _error(ExitCode.BAD_CONFIGURATION, "The output's location can't be used as configured.")
    OutputDamaged = _error(ExitCode.BAD_DATA, "What was read back from the output is not what was written.")
    OutputInUse = _error(ExitCode.BAD_CONFIGURATION, "Another training publishes to this output.")
    ProbeNotDeleted = _warning("The object that was written to test the output could not be deleted.")
    ReuseImpossible = _warning("Equal inputs gave an adapter before, but it can't be used: they are trained again.")


Subject = Mapping[ExitCode, Code]
"""The code of each class of failure, for what a check looks at."""

DATASET: Subject = MappingProxyType(
    {
        ExitCode.BAD_CONFIGURATION: Code.DatasetUnsupported,
        ExitCode.BAD_DATA: Code.DatasetUnreadable,
        ExitCode.INPUT_MISSING: Code.DatasetNotFound,
        ExitCode.STORAGE_UNAVAILABLE: Code.DatasetUnreachable,
        ExitCode.PERMISSION: Code.DatasetAccessDenied,
    }
)
BASE_MODEL: Subject = MappingProxyType(
    {
        ExitCode.BAD_CONFIGURATION: Code.BaseModelUnsupported,
        ExitCode.BAD_DATA: Code.BaseModelDamaged,
        ExitCode.INPUT_MISSING: Code.BaseModelNotFound,
        ExitCode.STORAGE_UNAVAILABLE: Code.BaseModelUnreachable,
        ExitCode.PERMISSION: Code.BaseModelAccessDenied,
    }
)
TOKENIZER: Subject = MappingProxyType({**BASE_MODEL, ExitCode.BAD_CONFIGURATION: Code.TokenizerInvalid})
TARGETS: Subject = MappingProxyType({ExitCode.BAD_CONFIGURATION: Code.TargetModulesInvalid})
PARENT: Subject = MappingProxyType(
    {
        ExitCode.BAD_CONFIGURATION: Code.ParentUnfit,
        ExitCode.BAD_DATA: Code.ParentDamaged,
        ExitCode.INPUT_MISSING: Code.ParentNotFound,
        ExitCode.STORAGE_UNAVAILABLE: Code.ParentUnreachable,
        ExitCode.PERMISSION: Code.ParentAccessDenied,
    }
)
OUTPUT: Subject = MappingProxyType(
    {
        ExitCode.BAD_CONFIGURATION: Code.OutputUnsupported,
        ExitCode.BAD_DATA: Code.OutputDamaged,
        ExitCode.INPUT_MISSING: Code.OutputNotFound,
        ExitCode.STORAGE_UNAVAILABLE: Code.OutputUnreachable,
        ExitCode.PERMISSION: Code.OutputAccessDenied,
    }
)
