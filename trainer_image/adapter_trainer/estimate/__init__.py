"""What a training will need, known before it starts: memory, and work. Imports no torch."""

from adapter_trainer.estimate.memory import MemoryEstimate, estimate_memory
from adapter_trainer.estimate.work import TrainingWork, training_work

__all__ = ["MemoryEstimate", "TrainingWork", "estimate_memory", "training_work"]
