"""An operator of a resource that is not defined yet when it starts."""

import kopf


@kopf.on.event("river.example.dev", "v1", "rafts")
def launch(type, spec, status, patch, **_):  # noqa: A002 - the name is Kopf's
    if type != "DELETED" and "aboard" not in status:
        patch.status["aboard"] = spec["crew"]
