"""Settings for all tests."""

import os

from hypothesis import HealthCheck, settings

# The machines that run these are shared, so an example's time says nothing. Continuous integration repeats the same
# examples, to be as green as the commit was; elsewhere each run tries new ones.
settings.register_profile(
    "shared-machine",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("shared-machine")
