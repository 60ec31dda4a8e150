"""Jobs: pods run to completion, and finished jobs removed after their time to live."""

from adapter_devcluster.controllers.jobs.controller import JobController
from adapter_devcluster.controllers.jobs.ttl import TtlController

__all__ = ["JobController", "TtlController"]
