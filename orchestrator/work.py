"""``Work``: what is under way for one task.

Look the task up, judge the items, look at the runtime, decide, perform one step, record; until nothing is left to
do. Only this writes records.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace
from traceback import format_exception
from typing import TYPE_CHECKING

from cri import errors
from cri.masking import masked
from cri.streaming.transport import cancel
from orchestrator import steps
from orchestrator.dependencies import unmet
from orchestrator.endings import ACTOR, Trouble, setback
from orchestrator.heuristic import accept
from orchestrator.orphans import STOP_GRACE, note
from orchestrator.reconcile import sweep, think
from orchestrator.steps import Observed
from orchestrator.store import Conflict, Outcome
from orchestrator.task import Event, Item, State, Task, farewell

if TYPE_CHECKING:
    from orchestrator.worker import Worker

_log = logging.getLogger(__name__)


class Work:
    """What is under way for one task."""

    def __init__(self, worker: Worker, task_id: str) -> None:
        self._worker = worker
        self._store = worker.store
        self._task_id = task_id
        self._known: Task | None = None
        self._inbox: list[Item] = []
        self._held: list[int] = []
        self._reap: Item | None = None
        self._hooked: frozenset[str] = frozenset()
        """Containers whose post_start hook has run: what is looked at does not show it."""
        self._told = False
        self.news = asyncio.Event()

    def hear(self, item: Item) -> None:
        self._inbox.append(item)
        self.news.set()

    async def run(self) -> None:
        """Work until nothing is left, through whatever goes wrong on our side."""
        try:
            while not self._worker.draining:
                try:
                    if await self._until_settled():
                        return
                except Conflict:
                    _log.info("task %s was written by another hand; reading it again", self._task_id)
                except Exception:  # noqa: BLE001 - logged, and the work goes on: it must not die with its items
                    pause = self._worker.settings.retry_max
                    _log.exception("work on task %s failed; trying again in %g s", self._task_id, pause)
                    await asyncio.sleep(pause)
        finally:
            self._worker.done(self._task_id)

    async def _until_settled(self) -> bool:
        """Work for the items held; True when there are none left, False when the worker is to close."""
        self._known = await self._store.get(self._task_id)
        seen: Observed | None = None
        while not self._worker.draining:
            any_news = await self._judge_news()
            if not self._held:
                return True
            if any_news or seen is None:
                seen = await self._look()
            if seen is not None:
                step = await self._decide(seen)
                if isinstance(step, steps.Settled | steps.Forget | steps.Wait):
                    seen = None
                else:
                    seen = await self._perform(step, seen)
        return False

    async def _judge_news(self) -> bool:
        """Judge what has come in; whether anything has."""
        any_news = bool(self._inbox)
        self.news.clear()
        while self._inbox:
            item = self._inbox[0]
            verdict = accept(item, self._known, now=self._worker.clock(), uid=uuid.uuid4().hex)
            if not verdict.accepted:
                await self._store.commit(Outcome(events=verdict.events, done=(item.seq,)))
            elif item.wish is not None:
                # The wish is in the record now. The item stays as a look until its work is done, so that a crash
                # in between leaves something to go on from, and not a second wish.
                look = replace(item, wish=None, spec=None, forget=False)
                await self._save(verdict.task, verdict.events, rewritten=(look,))
            elif item.forget:
                self._reap = item
            if verdict.accepted:
                self._held.append(item.seq)
            del self._inbox[0]
        return any_news

    async def _look(self) -> Observed | None:
        """What is there; None when the runtime does not say, and then a timer is set."""
        try:
            async with asyncio.timeout(self._worker.settings.step_timeout):
                seen = self._worker.prober.health(await self._worker.looker.look(self._task_id, self._known))
                hidden = await self._worker.performer.secrets(self._known)
                inside = tuple(
                    replace(each, hooked=each.id in self._hooked, message=masked(each.message, hidden))
                    for each in seen.containers
                )
                waits_for = self._known.spec.depends_on if self._known is not None else ()
                declared = {name: await self._store.named(name) for name in waits_for}
                missing = unmet(self._known.spec, declared) if self._known is not None else ""
                return replace(seen, containers=inside, unmet=missing)
        except Exception as error:  # noqa: BLE001 - trouble() tells them apart
            await self._setback(None, error)
            return None

    async def _decide(self, seen: Observed) -> steps.Action:
        now = self._worker.clock()
        if self._known is None:
            return await self._reaping(seen, now) or steps.Settled()
        known, events, step = think(self._known, seen, now)
        match step:
            case steps.Settled():
                await self._finish(replace(known, swept=step.swept), events)
            case steps.Wait():
                await self._finish(known, events, until=step.until)
            case steps.Forget():
                await self._forget(known, events)
            case _ if known != self._known:
                await self._save(known, events)
        return step

    async def _reaping(self, seen: Observed, now: float) -> steps.Effect | None:
        """The next step to be rid of what nobody knows, once it is due; None: there is none."""
        left = sweep(seen, STOP_GRACE) if self._reap is not None else None
        if left is None or self._reap is None:
            await self._finish(None)
        elif not self._told:
            await self._store.commit(Outcome(events=(note(self._reap, seen, now),)))
            self._told = True
        return left

    async def _perform(self, step: steps.Effect, seen: Observed) -> Observed | None:
        """Perform ``step``, listening meanwhile; what is there afterwards, None: look again."""
        before, fresh = self._known, True
        effect = asyncio.create_task(self._effect(step, seen))
        try:
            while not effect.done() and not self._in_vain(step, seen):
                heard = asyncio.create_task(self.news.wait())
                await asyncio.wait({effect, heard}, return_when=asyncio.FIRST_COMPLETED)
                heard.cancel()
                if not effect.done():
                    fresh = not await self._judge_news() and fresh
        finally:
            await cancel(effect)
        if effect.cancelled():
            return None
        if (error := effect.exception()) is None:
            return effect.result() if fresh else None
        if self._known is before:  # else it failed at what is no longer wanted
            await self._setback(step, error)
        return None

    async def _effect(self, step: steps.Effect, seen: Observed) -> Observed | None:
        task = self._known
        async with self._worker.slot(step), asyncio.timeout(self._worker.limit(step)):
            after = await self._worker.performer.perform(step, task, seen)
        if isinstance(step, steps.RunHook):
            self._hooked |= {step.container_id}
        return after

    def _in_vain(self, step: steps.Effect, seen: Observed) -> bool:
        """Whether a pull, which may take long, is no longer what would be decided."""
        if not isinstance(step, steps.PullImage) or self._known is None:
            return False
        return self._worker.draining or think(self._known, seen, self._worker.clock())[2] != step

    # --- recording --------------------------------------------------------------------------------------

    async def _setback(self, step: steps.Effect | None, error: BaseException) -> None:
        now, settings = self._worker.clock(), self._worker.settings
        hidden, told = await self._worker.performer.secrets(self._known), trouble(error, step)
        told = replace(told, message=masked(told.message, hidden))
        if not isinstance(error, errors.CRIError | TimeoutError):
            story = masked("".join(format_exception(error)), hidden)
            _log.error("a call to the runtime raised what no runtime may raise:\n%s", story)
        if self._known is None:
            await self._finish(None, until=now + settings.retry_max)
            return
        known, events, until = setback(
            self._known, step, told, now=now, backoff=settings.retry_backoff, longest=settings.retry_max
        )
        if until is None:
            await self._save(known, events)
        else:
            await self._finish(known, events, until=until)

    async def _finish(self, known: Task | None, events: tuple[Event, ...] = (), *, until: float | None = None) -> None:
        """Record, and take the items off the queue; ``until`` leaves a timer in their place."""
        again = Item(task_id=self._task_id, actor=ACTOR, cause="it is time to try again")
        if known is None and self._reap is not None:
            again = replace(self._reap, seq=0)
        timer = replace(again, not_before=until or 0.0)
        await self._save(known, events, done=tuple(self._held), follow=() if until is None else (timer,))
        self._held.clear()
        self._reap, self._told = None, False

    async def _forget(self, known: Task, events: tuple[Event, ...]) -> None:
        gone = farewell(known, cause="nothing is left of it", actor=ACTOR, now=self._worker.clock())
        done = tuple(self._held)
        await self._worker.performer.drop_files(known)  # before the record goes: who waits for that finds both gone
        await self._store.commit(Outcome(forgotten=self._known, events=(*events, gone), done=done))
        self._know(None)
        self._held.clear()

    async def _save(
        self,
        known: Task | None,
        events: tuple[Event, ...] = (),
        *,
        done: tuple[int, ...] = (),
        rewritten: tuple[Item, ...] = (),
        follow: tuple[Item, ...] = (),
    ) -> None:
        if known is not None and known != self._known:
            known = replace(known, version=known.version + 1)
            task: Task | None = known
            if _stand(known) != _stand(self._known):
                follow += tuple(
                    Item(task_id=each, actor=ACTOR, cause=f"what it waits for is {known.state}")
                    for each in await self._store.dependents(known.spec.name)
                )
        else:
            task = None
        await self._store.commit(Outcome(task=task, events=events, done=done, rewritten=rewritten, follow=follow))
        self._know(known)

    def _know(self, known: Task | None) -> None:
        self._known = known
        self._worker.prober.mind(self._task_id, known)


def _stand(task: Task | None) -> tuple[State, bool] | None:
    """What others may wait for."""
    return (task.state, task.ready) if task is not None else None


def trouble(error: BaseException, step: steps.Effect | None) -> Trouble:
    """What a failed call means for going on."""
    if isinstance(error, TimeoutError):
        return Trouble("the runtime did not answer in time", "attempt" if isinstance(step, steps.RunHook) else "later")
    if not isinstance(error, errors.CRIError):
        return Trouble(f"the runtime failed in an unforeseen way: {error!r}", "attempt")
    if error.retryable:
        return Trouble(error.message, "later")
    if isinstance(error, errors.InvalidArgument | errors.Unimplemented):
        return Trouble(error.message, "none")
    stale = isinstance(error, errors.NotFound) and isinstance(step, steps.CreateContainer | steps.StartContainer)
    if stale or isinstance(error, errors.AlreadyExists | errors.FailedPrecondition):
        return Trouble(error.message, "unclear")
    return Trouble(error.message, "attempt")
