"""``decide(desired, known, observed)``: the one next step that brings a task to where it should be. Pure.

One step a call, and each call starts from what is really there. So nothing has to be remembered between steps: after
a crash at any point the next call goes on from whatever the runtime says, adopts what runs, starts nothing twice and
clears away what is left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from manifests.container import Container
from orchestrator import steps
from orchestrator.endings import ACTOR, next_attempt, over, quiet
from orchestrator.steps import Observed, Phase, SeenContainer, SeenSandbox, Step
from orchestrator.task import NOT_READY, UNHEALTHY, WAITING, Event, State, Task, advance


def decide(desired: State, known: Task, observed: Observed, now: float) -> Step:
    """The next step for a task that should come to ``desired``."""
    if known.state is State.FAILED and desired is State.RUNNING:
        return next_attempt(known, "the restart policy asks for another attempt", now)
    if known.ended:
        return sweep(observed, known.spec.stop.grace) or (steps.Forget() if known.forget else steps.Settled(swept=True))
    if desired is not State.RUNNING:
        return _bring_down(desired, known, observed, now)
    if known.state is State.PENDING:
        return steps.Record(State.SCHEDULED, "nothing holds it back")
    if known.state is State.SCHEDULED:
        return _bring_up(known, observed, now)
    return _keep_up(known, observed, now)


def sweep(observed: Observed, grace: float) -> steps.Effect | None:
    """The next step to leave nothing behind; None when there is nothing."""
    if running := _running(observed):
        return steps.StopContainers(running, grace)
    for sandbox in observed.sandboxes:
        return steps.RemoveSandbox(sandbox.id)
    for container in observed.containers:
        return steps.RemoveContainer(container.id)
    return None


def think(known: Task, observed: Observed, now: float) -> tuple[Task, tuple[Event, ...], steps.Action]:
    """Decide until there is something to do besides writing down: the record, its transitions, and that step."""
    events: list[Event] = []
    while True:
        match decide(known.desired, known, observed, now):
            case steps.Record() as step:
                known, event = advance(known, step.to, cause=step.cause, actor=ACTOR, now=now, **step.changes)
                events.append(event)
            case steps.Remember() as step:
                known = replace(known, **step.changes)
            case action:
                return known, tuple(events), action


def _running(observed: Observed) -> tuple[str, ...]:
    return tuple(container.id for container in observed.containers if container.phase is Phase.RUNNING)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What there is of the attempt under way: its containers by name, and the sandbox to be in. ``rest`` is what is
    left of earlier attempts and of earlier tasks of the same name."""

    mine: Mapping[str, SeenContainer]
    home: SeenSandbox | None
    rest: Observed

    @property
    def homeless(self) -> bool:
        """Some of it is where it cannot stay: in a sandbox that is gone, dead or out of date."""
        at = self.home.id if self.home is not None and self.home.ready else None
        return any(container.sandbox_id != at for container in self.mine.values())


def _attempt(known: Task, observed: Observed) -> _Attempt:
    names = {container.name for container in known.spec.everyone}
    mine: dict[str, SeenContainer] = {}
    # Should there be several of one name, one that runs.
    order = (Phase.RUNNING, Phase.EXITED, Phase.CREATED)
    for one in sorted(observed.containers, key=lambda c: (order.index(c.phase), c.id)):
        if one.uid == known.uid and one.attempt == known.attempt and one.name in names:
            mine.setdefault(one.name, one)
    inside = {container.sandbox_id for container in mine.values()}
    fit = [s for s in observed.sandboxes if s.uid == known.uid and s.attempt >= known.sandbox_attempt]
    home = min(fit, key=lambda s: (s.id not in inside, not s.ready, s.id), default=None)
    rest = Observed(
        sandboxes=tuple(s for s in observed.sandboxes if s is not home),
        containers=tuple(c for c in observed.containers if c is not mine.get(c.name)),
    )
    return _Attempt(mine, home, rest)


def _ended(known: Task, attempt: _Attempt, now: float) -> Step | None:
    """What to write down if the attempt is over; None: it is not."""
    spec, mine = known.spec, attempt.mine
    before = len(spec.init)
    main = mine.get(spec.name)
    if main is not None and main.phase is Phase.EXITED and main.started_at is not None:
        if known.state is not State.RUNNING:
            return _runs(known, attempt, now)  # it did, and that goes into the history first
        return over(known, main.exit_code, main.reason, main.message, now, ended=main.finished_at)
    for at, name in enumerate(container.name for container in spec.everyone):
        seen = mine.get(name)
        what = f"container {name!r}" if at >= before else f"init container {name!r}"
        what = "its container" if name == spec.name else what
        if seen is None:
            done = at < before and any(later.name in known.containers for later in spec.everyone[at + 1 :])
            if name in known.containers and not done:
                gone = f"{what} is no longer there; it may have run"
                return over(known, None, "ContainerGone", gone, now)
        elif seen.phase is Phase.EXITED and seen.started_at is None:
            return over(known, seen.exit_code or 128, seen.reason or "StartError", seen.message, now)
        elif seen.phase is Phase.EXITED and (seen.exit_code or (at >= before and spec.restart.policy == "always")):
            said = f"{what} exited with code {seen.exit_code}{seen.message and f': {seen.message}'}"
            return over(known, seen.exit_code, seen.reason, said, now, ended=seen.finished_at)
    if attempt.homeless:
        ran = known.containers.keys() - mine.keys() or {each.phase for each in mine.values()} != {Phase.CREATED}
        if ran:  # what is known and gone may have
            return over(known, None, "SandboxGone", "its sandbox has died", now)  # which takes its containers along
    return None


def _bring_up(known: Task, observed: Observed, now: float) -> Step:
    attempt = _attempt(known, observed)
    if (end := _ended(known, attempt, now)) is not None:
        return end
    if attempt.homeless:  # and nothing of it was started
        if known.containers:
            return steps.Remember({"sandbox_id": "", "containers": {}})
        attempt = replace(attempt, mine={}, rest=replace(attempt.rest, containers=observed.containers))
    if (stale := sweep(attempt.rest, known.spec.stop.grace)) is not None:
        return stale
    if (waits := _hold(known, observed, now)) is not None:
        return waits
    if attempt.home is not None and not attempt.home.ready:
        return steps.RemoveSandbox(attempt.home.id)
    for at, container in enumerate(known.spec.everyone):
        step = _start(known, container, attempt, observed, now)
        if step is not None:
            return step
        if at < len(known.spec.init) and getattr(attempt.mine.get(container.name), "phase", None) is Phase.RUNNING:
            return steps.Settled()
    return _runs(known, attempt, now)


def _hold(known: Task, observed: Observed, now: float) -> Step | None:
    """What it has to wait for: a time, or others."""
    if known.next_try_at is not None and known.next_try_at > now:
        return steps.Wait(known.next_try_at)
    if observed.unmet and not known.containers:
        if (known.reason, known.message) == (WAITING, observed.unmet):
            return steps.Settled()  # whoever comes to be what it waits for has it looked at again
        changes = {"reason": WAITING, "message": observed.unmet}
        return steps.Record(State.SCHEDULED, f"it waits for {observed.unmet}", changes)
    if known.reason == WAITING:
        return steps.Record(State.SCHEDULED, "what it waited for is there", {"reason": "", "message": ""})
    return None


def _start(known: Task, container: Container, attempt: _Attempt, observed: Observed, now: float) -> Step | None:
    """The next step to have ``container`` started; None: it was."""
    seen = attempt.mine.get(container.name)
    if seen is None and container.name in known.containers:
        return None  # and it ended, before others were made, or the attempt would be over
    if seen is None:
        if (image := _image_first(known, container, observed, now)) is not None:
            return image
        if attempt.home is None:
            return steps.RunSandbox(known.attempt)
        return steps.CreateContainer(attempt.home.id, known.attempt, container.name)
    if seen.id != known.containers.get(container.name):
        # Written down before it is started: should it run and vanish unseen, this attempt is not made again.
        containers = {**known.containers, container.name: seen.id}
        return steps.Remember({"sandbox_id": seen.sandbox_id, "containers": containers})
    if seen.phase is Phase.CREATED:
        return steps.StartContainer(seen.id)
    if seen.phase is Phase.RUNNING and container.hooks.post_start and container.name not in known.hooked:
        if seen.hooked:
            return steps.Remember({"hooked": (*known.hooked, container.name)})
        return steps.RunHook(seen.id, container.hooks.post_start)
    return None


def _image_first(known: Task, container: Container, observed: Observed, now: float) -> Step | None:
    """What the pull policy asks for before a container is made from the image."""
    image, pull = container.image, container.pull
    if image in observed.pulled or (image in observed.images and pull != "always"):
        return None
    if pull == "never":
        missing = f"image {image!r} is not here, and pull is never"
        return over(known, None, "ImageNotPresent", missing, now, hopeless=True)
    return steps.PullImage(image, known.spec.platform)


def _keep_up(known: Task, observed: Observed, now: float) -> Step:
    attempt = _attempt(known, observed)
    if (end := _ended(known, attempt, now)) is not None:
        return end
    for container in attempt.mine.values():
        if container.phase is Phase.CREATED:
            return steps.StartContainer(container.id)
    if known.tries:
        return steps.Record(State.RUNNING, "the runtime answers again", quiet())
    if (news := _healthy(known, attempt, now)) is not None:
        return news
    for name in known.resized:
        seen = attempt.mine[name]
        if seen.phase is Phase.RUNNING and not seen.resized:
            return steps.UpdateResources(seen.id, name)
        return steps.Remember({"resized": tuple(other for other in known.resized if other != name)})
    return sweep(attempt.rest, known.spec.stop.grace) or steps.Settled()


def _healthy(known: Task, attempt: _Attempt, now: float) -> steps.Record | None:
    """What its probes have to say that is not in the record."""
    asked = [attempt.mine[one.name] for one in known.spec.everyone if any(one.probes) and one.name in attempt.mine]
    told = [seen.health for seen in asked if seen.phase is Phase.RUNNING and seen.health is not None]
    if failed := next((health.failed for health in told if health.failed), ""):
        return over(known, None, UNHEALTHY, failed, now)
    late = [health for health in told if not health.ready]
    if known.ready and late:
        return steps.Record(State.RUNNING, late[0].said, {"ready": False, "reason": NOT_READY, "message": late[0].said})
    if known.ready or late:
        return None
    gates = {one.name for one in known.spec.everyone if one.probes.gate}
    heard = {seen.name for seen in asked if seen.phase is not Phase.RUNNING or seen.health is not None}
    if gates <= heard:
        return steps.Record(State.RUNNING, "it is ready", {"ready": True, "reason": "", "message": ""})
    return None


def _bring_down(desired: State, known: Task, observed: Observed, now: float) -> Step:
    if running := _running(observed):
        return steps.StopContainers(running, known.spec.stop.grace)
    mine = _attempt(known, observed).mine
    main = mine.get(known.spec.name)
    changes: dict[str, Any] = quiet() | {"finished_at": now, "exit_code": None, "reason": "Cancelled"}
    if known.state is State.RUNNING or any(container.started_at is not None for container in mine.values()):
        changes["reason"] = "Stopped"
    if main is not None and main.phase is Phase.EXITED:
        changes |= {"exit_code": main.exit_code, "finished_at": main.finished_at or now}
    if desired is State.FAILED:
        changes["reason"] = "GivenUp"
    return steps.Record(desired, "stopped" if changes["reason"] == "Stopped" else "cancelled before it ran", changes)


def _runs(known: Task, attempt: _Attempt, now: float) -> steps.Record:
    main = attempt.mine[known.spec.name]
    changes = quiet() | {"started_at": main.started_at or now, "finished_at": None, "exit_code": None, "ready": True}
    if any(container.probes.gate for container in known.spec.everyone):
        changes |= {"ready": False, "reason": NOT_READY, "message": "its probes have not passed yet"}
    cause = "its container runs" if len(attempt.mine) == 1 else "its containers run"
    return steps.Record(State.RUNNING, cause, changes)
