"""Which objective a configuration asks for."""

from typing import assert_never

from adapter_contract import as_float
from adapter_contract.recipe import DirectPreferenceOptimization, SupervisedFineTuning
from adapter_contract.recipe import Objective as ObjectiveConfig
from adapter_trainer.training.objectives.objective import Objective
from adapter_trainer.training.objectives.preference import Preference
from adapter_trainer.training.objectives.supervised import Supervised


def objective_of(config: ObjectiveConfig) -> Objective:
    """Return the objective of a configuration. Which tokens `lossOn` learns, the examples say."""
    match config:
        case SupervisedFineTuning():
            return Supervised()
        case DirectPreferenceOptimization():
            return Preference(as_float(config.beta))
        case _:
            assert_never(config)
