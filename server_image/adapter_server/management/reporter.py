"""The pod's report on its adapters, as the operator reads it."""

from adapter_contract import AdapterReport, AdapterSet, EngineFacts, ServerConfig
from adapter_server.gateway.service import Service


class Reporter:
    """Makes the report of the moment."""

    def __init__(self, config: ServerConfig, service: Service) -> None:
        self.service = service
        self._config = config

    def report(self) -> AdapterReport:
        """Return the report; before the base is loaded it tells what will run."""
        running = self.service.running
        if running is None:
            engine = EngineFacts(type=self._config.engine.type, base_model_name=self._config.base_model.name)
            return AdapterReport(contract_version=AdapterSet.schema_version, ready=False, engine=engine)
        statuses = running.synchronizer.statuses
        return AdapterReport(
            contract_version=AdapterSet.schema_version,
            generation=running.synchronizer.generation,
            ready=self.service.ready_problem is None,
            engine=running.engine.facts,
            adapters=tuple(statuses[name] for name in sorted(statuses)),
        )
