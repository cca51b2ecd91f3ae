"""One sentence on where a task stands, why, and what comes next. Pure."""

from __future__ import annotations

from orchestrator.task import WAITING, State, Task


def why(task: Task, now: float) -> str:
    """For a person who asks why a task is not running, or since when it is."""
    said = f": {task.message}" if task.message else f" ({task.reason})" if task.reason else ""
    match task.state:
        case State.RUNNING if task.tries:
            return f"It runs as far as is known, but the runtime makes trouble{said}{_next(task, now)}."
        case State.RUNNING if task.desired is not State.RUNNING:
            return f"It is being stopped; it has {task.spec.stop.grace:g} s to end by itself."
        case State.RUNNING:
            ready = "" if task.ready else f", but is not ready{said}"
            return f"It runs, started {_ago(task.started_at, now)}{_attempts(task)}{ready}."
        case State.SCHEDULED if task.desired is not State.RUNNING:
            return "It is being cancelled."
        case State.SCHEDULED if task.reason == WAITING:
            return f"It waits for {task.message}."
        case State.SCHEDULED if said:
            return f"It waits for attempt {task.attempt + 1}, because the last try failed{said}{_next(task, now)}."
        case State.SCHEDULED:
            return f"It is being started{_attempts(task)}{_init(task)}."
        case State.FAILED:
            coded = task.exit_code is not None and f"code {task.exit_code}" not in task.message
            code = f" with exit code {task.exit_code}" if coded else ""
            return f"It failed {_ago(task.finished_at, now)}{code}{said}; {_no_more(task)}."
        case State.COMPLETED:
            return f"It ended {_ago(task.finished_at, now)}{said}; that is final."
        case _:
            return "It was seen, and is not scheduled yet."


def _attempts(task: Task) -> str:
    return f", attempt {task.attempt + 1}" if task.attempt else ""


def _init(task: Task) -> str:
    begun = [one.name for one in task.spec.init if one.name in task.containers]
    return f"; init container {begun[-1]!r} comes first" if begun and not task.container_id else ""


def _no_more(task: Task) -> str:
    policy = task.spec.restart.policy
    return "its restart policy is never" if policy == "never" else f"its restart policy, {policy}, asks for no more"


def _next(task: Task, now: float) -> str:
    if task.next_try_at is None:
        return ""
    left = task.next_try_at - now
    return f"; next try in {left:.1f} s" if left > 0 else "; trying now"


def _ago(when: float | None, now: float) -> str:
    return "at an unknown time" if when is None else f"{max(0.0, now - when):.1f} s ago"
