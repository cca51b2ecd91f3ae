"""How an attempt ends, what follows it and when, and what a failed call makes of it. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from orchestrator import steps
from orchestrator.task import NEW_ATTEMPT, Event, State, Task, advance, note

ACTOR = "worker"
"""Who is behind a transition that follows from what was observed."""

_JITTER = 0.1


def quiet() -> dict[str, Any]:
    return {"tries": 0, "next_try_at": None, "reason": "", "message": ""}


def over(
    known: Task,
    exit_code: int | None,
    reason: str,
    message: str,
    now: float,
    *,
    ended: float | None = None,
    hopeless: bool = False,
) -> steps.Record:
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
        following = next_attempt(replace(known, failures=failures), cause, now)
        return replace(following, changes=changes | dict(following.changes))
    to = State.COMPLETED if success else State.FAILED
    return steps.Record(to, cause, changes | {"desired": State.RUNNING if again else to})


def next_attempt(known: Task, cause: str, now: float) -> steps.Record:
    restart = known.spec.restart
    delay = min(restart.max_backoff, restart.backoff * 2 ** min(known.failures, 32)) * _jitter(known)
    changes = {
        "attempt": known.attempt + 1,
        **NEW_ATTEMPT,
        "restarts": known.restarts + 1,
        "failures": known.failures + 1,
        "tries": 0,
        "next_try_at": now + delay,
    }
    return steps.Record(State.SCHEDULED, cause, changes)


def _jitter(known: Task) -> float:
    """A factor of 1 ± 10 %, so that what failed together does not come back together; the same at every look."""
    share = zlib.crc32(f"{known.uid}/{known.attempt}".encode()) / 2**32
    return 1 + _JITTER * (2 * share - 1)


# --- when a step fails ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """A call that failed. ``hope``: ``later`` the same call may succeed, ``unclear`` a new look may tell,
    ``attempt`` only another attempt may do better, ``none`` will."""

    message: str
    hope: Literal["later", "unclear", "attempt", "none"]


_REASONS: Mapping[type[steps.Effect], str] = {
    steps.PullImage: "ImagePullError",
    steps.RunSandbox: "SandboxError",
    steps.CreateContainer: "CreateError",
    steps.StartContainer: "StartError",
    steps.RunHook: "PostStartHookError",
    steps.UpdateResources: "UpdateError",
    steps.StopContainers: "StopError",
    steps.RemoveContainer: "RemoveError",
    steps.RemoveSandbox: "RemoveError",
}
_UNCLEAR_TRIES = 3


def setback(
    known: Task, step: steps.Effect | None, trouble: Trouble, *, now: float, backoff: float, longest: float
) -> tuple[Task, tuple[Event, ...], float | None]:
    """What a failed step (None: the look itself) makes of the record, and when to try again; None: go on at once,
    because the attempt is over or the step is no longer wanted."""
    if isinstance(step, steps.STARTING) and known.desired is not State.RUNNING:
        return known, (), None
    reason = _REASONS[type(step)] if step is not None else "RuntimeUnavailable"
    lost = trouble.hope in ("attempt", "none") or (trouble.hope == "unclear" and known.tries >= _UNCLEAR_TRIES)
    if lost and isinstance(step, steps.STARTING) and known.state in (State.SCHEDULED, State.RUNNING):
        end = over(known, None, reason, trouble.message, now, hopeless=trouble.hope == "none")
        task, event = advance(known, end.to, cause=end.cause, actor=ACTOR, now=now, **end.changes)
        return task, (event,), None
    if isinstance(step, steps.UpdateResources) and trouble.hope != "later" and known.state is State.RUNNING:
        cause = f"its limits cannot be changed while it runs: {trouble.message}"
        task, event = advance(
            known, State.SCHEDULED, cause=cause, actor=ACTOR, now=now, attempt=known.attempt + 1, **NEW_ATTEMPT
        )
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
