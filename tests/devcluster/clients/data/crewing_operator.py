"""An operator as a user of Kopf writes one: a boat's crew goes aboard, and leaves before the boat is gone."""

import kopf

BOATS = ("harbour.example.dev", "v1", "boats")


@kopf.on.create(*BOATS)
def launch(body, spec, patch, **_):
    kopf.info(body, reason="Launched", message=f"{spec['crew']} are aboard.")
    patch.status["aboard"] = spec["crew"]
    patch.status["conditions"] = [{"type": "Ready", "status": "True", "reason": "Launched"}]


@kopf.on.update(*BOATS, field="spec.crew")
def change_crew(old, new, patch, **_):
    patch.status["aboard"] = new
    patch.status["conditions"] = [{"type": "Ready", "status": "True", "reason": f"From{old}To{new}"}]


@kopf.on.delete(*BOATS)
def leave(retry, body, name, logger, **_):
    if retry == 0:
        kopf.warn(body, reason="Waiting", message="The crew is still aboard.")
        raise kopf.TemporaryError("the crew is still aboard", delay=0.1)
    logger.info("the crew has left %s", name)
