"""The Deployment controller: ReplicaSets, one a pod template, scaled from the old template's to the new one's.

Source of all modules here: ``pkg/controller/deployment``, v1.36.
"""

from __future__ import annotations

from adapter_devcluster.controllers.deployments.controller import DeploymentController

__all__ = ["DeploymentController"]
