"""``decide(desired, known, observed)``: the one next step that brings a task to where it should be. Pure.

One step a call, and each call starts from what is really there. So nothing has to be remembered between steps: after
a crash at any point the next call goes on from whatever the runtime says, adopts what runs, starts nothing twice and
clears away what is left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from orchestrator.steps import (
    STARTING,
    Action,
    CreateContainer,
    Effect,
    Forget,
    Observed,
    Phase,
    PullImage,
    Record,
    Remember,
    RemoveContainer,
    RemoveSandbox,
    RunSandbox,
    SeenContainer,
    SeenSandbox,
    Settled,
    StartContainer,
    Step,
    StopContainer,
    Wait,
)
from orchestrator.task import Event, State, Task, advance, note

ACTOR = "worker"
"""Who is behind a transition that follows from what was observed."""


def decide(desired: State, known: Task, observed: Observed, now: float) -> Step:
    """The next step for a task that should come to ``desired``."""
    if known.state is State.FAILED and desired is State.RUNNING:
        return _next_attempt(known, "the restart policy asks for another attempt", now)
    if known.ended:
        left = sweep(observed, known.spec.stop.grace)
        return left or (Forget() if known.forget else Settled(swept=True))
    if desired is not State.RUNNING:
        return _bring_down(desired, known, observed, now)
    if known.state is State.PENDING:
        return Record(State.SCHEDULED, "nothing holds it back")
    if known.state is State.SCHEDULED:
        return _bring_up(known, observed, now)
    return _keep_up(known, observed, now)


def sweep(observed: Observed, grace: float) -> Effect | None:
    """The next step to leave nothing behind; None when there is nothing."""
    for container in observed.containers:
        if container.phase is Phase.RUNNING:
            return StopContainer(container.id, grace)
    for sandbox in observed.sandboxes:
        return RemoveSandbox(sandbox.id)
    for container in observed.containers:
        return RemoveContainer(container.id)
    return None


def think(known: Task, observed: Observed, now: float) -> tuple[Task, tuple[Event, ...], Action]:
    """Decide until there is something to do besides writing down: the record, its transitions, and that step."""
    events: list[Event] = []
    while True:
        match decide(known.desired, known, observed, now):
            case Record() as step:
                known, event = advance(known, step.to, cause=step.cause, actor=ACTOR, now=now, **step.changes)
                events.append(event)
            case Remember() as step:
                known = replace(known, sandbox_id=step.sandbox_id, container_id=step.container_id)
            case action:
                return known, tuple(events), action


def _current(known: Task, observed: Observed) -> SeenContainer | None:
    """The container of this attempt; should there be several, one that runs."""
    mine = [c for c in observed.containers if c.uid == known.uid and c.attempt == known.attempt]
    return min(mine, key=lambda c: (c.phase is not Phase.RUNNING, c.phase is not Phase.EXITED, c.id), default=None)


def _home(known: Task, observed: Observed, current: SeenContainer | None) -> SeenSandbox | None:
    """The sandbox to be in: where the container is, else one that is ready and not out of date."""
    fit = [s for s in observed.sandboxes if s.uid == known.uid and s.attempt >= known.sandbox_attempt]
    inside = current.sandbox_id if current else ""
    return min(fit, key=lambda s: (s.id != inside, not s.ready, s.id), default=None)


def _tidy(known: Task, observed: Observed, current: SeenContainer | None, home: SeenSandbox | None) -> Effect | None:
    """The next step to clear away earlier attempts and earlier tasks of the same name."""
    stale = Observed(
        sandboxes=tuple(s for s in observed.sandboxes if s is not home),
        containers=tuple(c for c in observed.containers if c is not current),
    )
    return sweep(stale, known.spec.stop.grace)


def _bring_up(known: Task, observed: Observed, now: float) -> Step:
    current = _current(known, observed)
    if (came := _came_up(known, current, now)) is not None:
        return came
    home = _home(known, observed, current)
    if current is not None and (home is None or home.id != current.sandbox_id):
        if known.container_id:
            return Remember(sandbox_id="", container_id="")  # made in a sandbox that is gone or out of date
        current = None
    if (stale := _tidy(known, observed, current, home)) is not None:
        return stale
    if known.next_try_at is not None and known.next_try_at > now:
        return Wait(known.next_try_at)
    if home is None:
        return _image_first(known, observed, now) or RunSandbox(known.attempt)
    if not home.ready:
        return RemoveSandbox(home.id)
    if current is None:
        return _image_first(known, observed, now) or CreateContainer(home.id, known.attempt)
    if current.id != known.container_id:
        # Written down before it is started: should it run and vanish unseen, this attempt is not made again.
        return Remember(sandbox_id=home.id, container_id=current.id)
    return StartContainer(current.id)


def _came_up(known: Task, current: SeenContainer | None, now: float) -> Step | None:
    """What to write down if the attempt has got further than Scheduled; None: it has not."""
    if current is None:
        gone = "its container is no longer there; it may have run"
        return _over(known, None, "ContainerGone", gone, now) if known.container_id else None
    if current.phase is Phase.CREATED:
        return None
    if current.phase is Phase.EXITED and current.started_at is None:
        return _over(known, current.exit_code or 128, current.reason or "StartError", current.message, now)
    return _runs(current, now)  # should it have ended while nobody looked, that goes into the history next


def _image_first(known: Task, observed: Observed, now: float) -> Step | None:
    """What the pull policy asks for before anything is made from the image."""
    spec = known.spec
    if observed.pulled or (observed.image and spec.pull != "always"):
        return None
    if spec.pull == "never":
        missing = f"image {spec.image!r} is not here, and pull is never"
        return _over(known, None, "ImageNotPresent", missing, now, hopeless=True)
    return PullImage(spec.image, spec.platform)


def _keep_up(known: Task, observed: Observed, now: float) -> Step:
    current = _current(known, observed)
    if current is None:
        return _over(known, None, "ContainerGone", "its container is no longer there", now)
    if current.phase is Phase.EXITED:
        ended = current.finished_at or now
        return _over(known, current.exit_code, current.reason, current.message, now, ended=ended)
    home = _home(known, observed, current)
    if current.phase is Phase.CREATED:
        return StartContainer(current.id)
    if home is None or home.id != current.sandbox_id or not home.ready:
        return StopContainer(current.id, known.spec.stop.grace)  # a sandbox that died takes its container along
    if known.tries:
        return Record(State.RUNNING, "the runtime answers again", _quiet())
    return _tidy(known, observed, current, home) or Settled()


def _bring_down(desired: State, known: Task, observed: Observed, now: float) -> Step:
    for container in observed.containers:
        if container.phase is Phase.RUNNING:
            return StopContainer(container.id, known.spec.stop.grace)
    current = _current(known, observed)
    changes: dict[str, Any] = _quiet() | {"finished_at": now, "exit_code": None, "reason": "Cancelled"}
    if known.state is State.RUNNING or (current is not None and current.started_at is not None):
        changes["reason"] = "Stopped"
    if current is not None and current.phase is Phase.EXITED:
        changes |= {"exit_code": current.exit_code, "finished_at": current.finished_at or now}
    if desired is State.FAILED:
        changes["reason"] = "GivenUp"
    return Record(desired, "stopped" if changes["reason"] == "Stopped" else "cancelled before it ran", changes)


def _quiet() -> dict[str, Any]:
    return {"tries": 0, "next_try_at": None, "reason": "", "message": ""}


def _runs(current: SeenContainer, now: float) -> Record:
    changes = _quiet() | {
        "sandbox_id": current.sandbox_id,
        "container_id": current.id,
        "started_at": current.started_at or now,
        "finished_at": None,
        "exit_code": None,
    }
    return Record(State.RUNNING, "its container runs", changes)


def _over(
    known: Task,
    exit_code: int | None,
    reason: str,
    message: str,
    now: float,
    *,
    ended: float | None = None,
    hopeless: bool = False,
) -> Record:
    """An attempt has come to its end; ``hopeless``: no other attempt can do better."""
    restart = known.spec.restart
    finished = now if ended is None else ended
    lasted = finished - known.started_at if known.state is State.RUNNING and known.started_at is not None else 0.0
    failures = 0 if lasted >= restart.reset_after else known.failures
    success = exit_code == 0
    wanted = restart.policy == "always" or (restart.policy == "on-failure" and not success)
    spent = restart.attempts > 0 and known.restarts >= restart.attempts
    again = wanted and not spent and not hopeless
    cause = message or f"exited with code {exit_code}"
    if wanted and spent:
        message = f"{cause}; gave up after {known.restarts} restarts"
    changes = {
        "exit_code": exit_code,
        "reason": reason or ("Completed" if success else "Error"),
        "message": message,
        "finished_at": finished,
        "failures": failures,
        "tries": 0,
        "next_try_at": None,
    }
    if success and again:
        following = _next_attempt(replace(known, failures=failures), cause, now)
        return replace(following, changes=changes | dict(following.changes))
    to = State.COMPLETED if success else State.FAILED
    return Record(to, cause, changes | {"desired": State.RUNNING if again else to})


def _next_attempt(known: Task, cause: str, now: float) -> Record:
    restart = known.spec.restart
    delay = min(restart.max_backoff, restart.backoff * 2 ** min(known.failures, 32))
    changes = {
        "attempt": known.attempt + 1,
        "container_id": "",
        "restarts": known.restarts + 1,
        "failures": known.failures + 1,
        "tries": 0,
        "next_try_at": now + delay,
    }
    return Record(State.SCHEDULED, cause, changes)


# --- when a step fails ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """A call that failed. ``hope``: ``later`` the same call may succeed, ``unclear`` a new look may tell,
    ``attempt`` only another attempt may do better, ``none`` will."""

    message: str
    hope: Literal["later", "unclear", "attempt", "none"]


_REASONS: Mapping[type[Effect], str] = {
    PullImage: "ImagePullError",
    RunSandbox: "SandboxError",
    CreateContainer: "CreateError",
    StartContainer: "StartError",
    StopContainer: "StopError",
    RemoveContainer: "RemoveError",
    RemoveSandbox: "RemoveError",
}
_UNCLEAR_TRIES = 3


def setback(
    known: Task, step: Effect | None, trouble: Trouble, *, now: float, backoff: float, longest: float
) -> tuple[Task, tuple[Event, ...], float | None]:
    """What a failed step (None: the look itself) makes of the record, and when to try again; None: go on at once,
    because the attempt is over or the step is no longer wanted."""
    if isinstance(step, STARTING) and known.desired is not State.RUNNING:
        return known, (), None
    reason = _REASONS[type(step)] if step is not None else "RuntimeUnavailable"
    lost = trouble.hope in ("attempt", "none") or (trouble.hope == "unclear" and known.tries >= _UNCLEAR_TRIES)
    if lost and isinstance(step, STARTING) and known.state in (State.SCHEDULED, State.RUNNING):
        over = _over(known, None, reason, trouble.message, now, hopeless=trouble.hope == "none")
        task, event = advance(known, over.to, cause=over.cause, actor=ACTOR, now=now, **over.changes)
        return task, (event,), None
    until = now + min(longest, backoff * 2 ** min(known.tries, 32))
    known = replace(known, tries=known.tries + 1)
    if known.ended or known.state is State.PENDING:
        first = (note(known, cause=trouble.message, actor=ACTOR, now=now),) if known.tries == 1 else ()
        return known, first, until
    if (known.reason, known.message) == (reason, trouble.message):
        return replace(known, next_try_at=until), (), until  # said already; only the time of the next try moves
    changes = {"reason": reason, "message": trouble.message, "next_try_at": until}
    task, event = advance(known, known.state, cause=trouble.message, actor=ACTOR, now=now, **changes)
    return task, (event,), until
