"""Why a whole dataset can't be learned from: findings with a name of their own, beside those about single rows."""

from adapter_trainer.errors import BadConfiguration, BadData


class ChatTemplateMissing(BadConfiguration):
    """Examples are conversations, and the base model has no template to render them with."""


class TooManyUnusableExamples(BadData):
    """More examples have nothing to learn from than `dataset.unusableExamples` allows."""


class NothingToLearn(BadData):
    """There is no example at all, or none that can be learned from."""


class TooFewToHoldOut(BadData):
    """Fewer than two different examples: none can be held out."""
