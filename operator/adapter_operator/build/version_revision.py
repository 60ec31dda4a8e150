"""The ControllerRevision of a promoted version: the only built-in object whose data nobody can change.

The API server keeps the bytes of `data` as they were sent and compares bytes, while every client written in Go sends
them back sorted, compact and with Go's escapes. In another form every later update is refused (seen on Kubernetes
1.36). The client that creates it writes JSON in that form; here the content is kept to ASCII, which all writers spell
alike.
"""

from typing import Any

from adapter_operator.api.v1alpha1.names import version_revision as revision_name
from adapter_operator.api.v1alpha1.training import AdapterTraining
from adapter_operator.api.v1alpha1.version_record import VersionRecord
from adapter_operator.build.metadata import child_metadata

JSON = dict[str, Any]


def version_revision(training: AdapterTraining, record: VersionRecord) -> JSON:
    """The manifest to create once.

    Raises:
        ValueError: a text of the record is not ASCII.

    """
    data = record.to_dict()
    for name, value in data.items():
        if isinstance(value, str) and not value.isascii():
            raise ValueError(f"{name} of a version must be ASCII, not {value!r}")
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": child_metadata(training, revision_name(training.metadata.name, record.version)),
        "revision": record.version,
        "data": data,
    }
