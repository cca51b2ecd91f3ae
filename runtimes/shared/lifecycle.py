"""Which events lie between two looks at a container or a sandbox. Pure.

Events are made from what is seen, not passed on as an engine sends them: an engine's stream tears, repeats itself and
overtakes what a look shows. Two looks and the way between them give every event once, in order.
"""

from __future__ import annotations

from enum import IntEnum

from cri.v1 import api_pb2 as v1


class Phase(IntEnum):
    """How far a life has come."""

    ABSENT = 0
    CREATED = 1
    RUNNING = 2
    EXITED = 3
    DELETED = 4


_ENTERED = {
    Phase.CREATED: v1.CONTAINER_CREATED_EVENT,
    Phase.RUNNING: v1.CONTAINER_STARTED_EVENT,
    Phase.EXITED: v1.CONTAINER_STOPPED_EVENT,
    Phase.DELETED: v1.CONTAINER_DELETED_EVENT,
}


def events_between(known: Phase, seen: Phase, *, ran: bool) -> list[v1.ContainerEventType]:
    """What happened from ``known`` to ``seen``. ``ran`` says whether it ever ran: one that failed to start, or was
    removed before, has no STARTED. A deleted one stays deleted; one that runs after it had ended was started again."""
    if seen < known:
        return [_ENTERED[Phase.RUNNING]] if (known, seen) == (Phase.EXITED, Phase.RUNNING) else []
    passed = [phase for phase in _ENTERED if known < phase <= seen]
    if not ran and known < Phase.RUNNING:
        # It did end when its start failed, but not when it was deleted before anybody started it.
        skipped = {Phase.RUNNING} if seen is Phase.EXITED else {Phase.RUNNING, Phase.EXITED}
        passed = [phase for phase in passed if phase not in skipped]
    return [_ENTERED[phase] for phase in passed]
