"""Prometheus metrics of ``minicri up``: what happens to tasks, what waits, and how the engine answers.

The history is what is counted, so the numbers are those that ``events`` tells, from the start of the process on.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Tally
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cri.errors import CRIError
from cri.rpc import RPCS
from cri.runtime import Runtime
from orchestrator.control import Orchestrator
from orchestrator.declaration import Progress
from orchestrator.measure import Measure
from orchestrator.orphans import ORPHANED
from orchestrator.store import HistoryTrimmed, Store
from orchestrator.task import Event, EventKind, State

REFRESH = 5.0
"""Seconds between looks at what is counted as it stands: tasks, queue, rollouts."""

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_UNARY = {rpc.attribute: rpc.name for rpc in RPCS if not rpc.streaming}


class TaskMetrics(Measure):
    """Counts for one orchestrator."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self._transitions = Counter("minicri_transitions", "Transitions of tasks.", ("source", "target"), registry=to)
        self._restarts = Counter("minicri_restarts", "Attempts that followed another one.", registry=to)
        self._rejections = Counter("minicri_rejections", "Wishes that the table of states refused.", registry=to)
        self._tasks = Gauge("minicri_tasks", "Tasks by state.", ("state",), registry=to)
        self._ready = Gauge("minicri_tasks_ready", "Tasks that run and are ready.", registry=to)
        self._queue = Gauge("minicri_queue_depth", "Items in the queue, timers included.", registry=to)
        self._rollouts = Gauge("minicri_rollouts", "Declared names by progress.", ("progress",), registry=to)
        self._probes = Counter("minicri_probe_results", "Answers to probes.", ("kind", "result"), registry=to)
        self._collected = Counter(
            "minicri_collected", "Things removed because nobody needs them.", ("kind",), registry=to
        )
        self._reconcile_seconds = Histogram(
            "minicri_reconcile_seconds", "Seconds of a look at everything.", registry=to, buckets=_SECONDS
        )
        self._calls = Counter("minicri_engine_calls", "Calls to the engine.", ("method", "code"), registry=to)
        self._call_seconds = Histogram(
            "minicri_engine_call_seconds", "Seconds of a call.", ("method",), registry=to, buckets=_SECONDS
        )

    def count(self, event: Event) -> None:
        """One line of the history."""
        if event.kind is EventKind.REJECTED:
            self._rejections.inc()
        if event.reason == ORPHANED:
            self._collected.labels("orphan").inc()
        if event.kind is EventKind.TRANSITION:
            self._transitions.labels(event.source or "", event.target or "").inc()
            if event.target is State.SCHEDULED and event.source is not State.SCHEDULED and event.attempt:
                self._restarts.inc()

    def probed(self, kind: str, passed: bool) -> None:
        self._probes.labels(kind, "success" if passed else "failure").inc()

    def reconciled(self, seconds: float) -> None:
        self._reconcile_seconds.observe(seconds)

    def collected(self, kind: str, count: int) -> None:
        self._collected.labels(kind).inc(count)

    async def refresh(self, store: Store) -> None:
        """Look at what is there now."""
        tasks = await store.list()
        states = Tally(task.state for task in tasks)
        for state in State:
            self._tasks.labels(state).set(states[state])
        self._ready.set(sum(task.ready for task in tasks))
        rollouts = Tally(one.progress for one in await store.declarations())
        for progress in Progress:
            self._rollouts.labels(progress).set(rollouts[progress])
        self._queue.set(await store.depth())

    @asynccontextmanager
    async def counting(self, orchestrator: Orchestrator, store: Store) -> AsyncIterator[None]:
        """Count while the block runs."""
        await self.refresh(store)
        jobs = [asyncio.create_task(self._follow(orchestrator)), asyncio.create_task(self._keep_looking(store))]
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)

    async def _follow(self, orchestrator: Orchestrator) -> None:
        while True:
            try:
                async with aclosing(orchestrator.watch(await orchestrator.last_seq())) as events:
                    async for event in events:
                        self.count(event)
            except HistoryTrimmed:
                continue  # more happened than is kept; what was missed is not counted

    async def _keep_looking(self, store: Store) -> None:
        while True:
            await asyncio.sleep(REFRESH)
            await self.refresh(store)

    def counted(self, runtime: Runtime) -> Runtime:
        """``runtime``, each of its calls with one answer counted and timed."""
        return cast(Runtime, _Counted(runtime, self._measured))

    async def _measured(self, name: str, call: Awaitable[Any]) -> Any:
        begun, code = time.perf_counter(), "OK"
        try:
            return await call
        except CRIError as error:
            code = error.code.name
            raise
        except BaseException:
            code = "CANCELLED"
            raise
        finally:
            self._calls.labels(name, code).inc()
            self._call_seconds.labels(name).observe(time.perf_counter() - begun)


class _Counted:
    def __init__(self, runtime: Runtime, measured: Callable[[str, Awaitable[Any]], Awaitable[Any]]) -> None:
        self._runtime = runtime
        self._measured = measured

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._runtime, method)
        if method not in _UNARY:
            return call
        return lambda request: self._measured(_UNARY[method], call(request))
