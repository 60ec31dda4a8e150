"""What pods say, as documents of the contract. A pod that says something else counts as one that says nothing."""

import logging
from collections.abc import Iterable

from adapter_contract.adapter_set import AdapterReport
from adapter_contract.errors import ContractError
from adapter_contract.progress import Progress
from adapter_operator.observe.deployment import PodReport
from adapter_operator.runtime.objects import Object, key_of, uid_of
from adapter_operator.runtime.pod_streams import PodStreams

_LOG = logging.getLogger(__name__)


class PodReports:
    """Reads what the streams have heard."""

    def __init__(self, streams: PodStreams) -> None:
        self._streams = streams

    def progress(self, pods: Iterable[Object]) -> dict[str, Progress]:
        """The newest progress of trainer pods, by UID."""
        found = {}
        for pod in pods:
            heard = self._streams.heard(uid_of(pod))
            if heard is None or heard.body is None:
                continue
            try:
                found[uid_of(pod)] = Progress.from_json(heard.body)
            except ContractError as error:
                _LOG.warning("%s reports no progress that can be read: %s", key_of(pod), error)
        return found

    def adapters(self, pods: Iterable[Object]) -> dict[str, PodReport]:
        """What is known of the adapters of server pods, by UID."""
        found = {}
        for pod in pods:
            heard = self._streams.heard(uid_of(pod))
            if heard is None:
                continue
            report, silent_since = None, heard.unreachable_since
            if heard.body is not None:
                try:
                    report = AdapterReport.from_json(heard.body)
                except ContractError as error:
                    _LOG.warning("%s reports no adapters that can be read: %s", key_of(pod), error)
                    silent_since = silent_since or heard.received
            found[uid_of(pod)] = PodReport(report=report, received=heard.received, unreachable_since=silent_since)
        return found
