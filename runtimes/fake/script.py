"""``Script``: make the fake misbehave, on purpose and repeatably.

Rules apply in the order in which they were added; of several that match a call all delays are waited for, and the
first error is raised. ``rules`` has their meaning, and the same rules can come from the configuration.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from google.protobuf.message import Message

from cri.errors import Unavailable
from runtimes.fake.clock import Clock
from runtimes.fake.rules import CallRule, ContainerRule, fresh

RECORDED_CALLS = 10_000
"""The latest calls are kept, for ``Script.calls``."""

_ENGINE_IS_DOWN_ANSWERS = frozenset(["Status"])
"""RPCs that answer while the engine is down: Status says so in its conditions."""

Subject = Callable[[Message], tuple[str, str]]
"""Metadata name and image that a request is about; empty where it is about none."""


@dataclass
class _Active:
    """A rule in force, and how often it still applies (None: without end)."""

    rule: CallRule
    error: Exception | None
    hold: Hold | None = None
    left: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.rule.times or None

    def use(self) -> None:
        if self.left is not None:
            self.left -= 1


class Hold:
    """Calls that matched wait here. ``async with`` lets them go at its end, at the latest."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    async def reached(self) -> None:
        """Return once a call waits (or has waited) here."""
        await self._reached.wait()

    def release(self) -> None:
        """Let the waiting calls, and all later ones, go on."""
        self._released.set()

    async def wait(self) -> None:
        """What a held call does."""
        self._reached.set()
        await self._released.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Script:
    """The rules in force, and a record of the calls that were made."""

    def __init__(self, clock: Clock, calls: Iterable[CallRule] = (), containers: Iterable[ContainerRule] = ()) -> None:
        self._clock = clock
        self._calls: list[_Active] = [_Active(rule, rule.exception()) for rule in calls]
        self._containers: list[tuple[ContainerRule, list[None]]] = [(rule, []) for rule in containers]
        self._recorded: deque[tuple[str, Message]] = deque(maxlen=RECORDED_CALLS)
        self._down = ""

    # --- calls ----------------------------------------------------------------------------------------------

    def fail(
        self, call: str, error: Exception, *, times: int = 0, after: bool = False, name: str = "*", image: str = "*"
    ) -> None:
        """Let ``call`` raise ``error``, the next ``times`` times (0: always); ``after`` the work was done, or before.

        Any exception that is not a CRIError plays a bug in the backend.
        """
        self._calls.append(_Active(CallRule(call=call, times=times, after=after, name=name, image=image), error))

    def delay(self, call: str, seconds: float, *, times: int = 0, name: str = "*", image: str = "*") -> None:
        """Let ``call`` take ``seconds`` longer."""
        self._calls.append(_Active(CallRule(call=call, times=times, delay=seconds, name=name, image=image), None))

    def hold(self, call: str, *, times: int = 0, name: str = "*", image: str = "*") -> Hold:
        """Let ``call`` wait before its work until the test says go: for races without a sleep."""
        hold = Hold()
        self._calls.append(_Active(CallRule(call=call, times=times, name=name, image=image), None, hold))
        return hold

    def on_pull(self, image: str, error: Exception, *, times: int = 0) -> None:
        """Let pulls of ``image`` fail."""
        self.fail("PullImage", error, times=times, image=image)

    def add(self, rule: CallRule | ContainerRule) -> None:
        """Add a rule as the configuration would."""
        if isinstance(rule, CallRule):
            self._calls.append(_Active(rule, rule.exception()))
        else:
            self._containers.append((rule, []))

    # --- containers -----------------------------------------------------------------------------------------

    def on_container(
        self, *, name: str = "*", image: str = "*", times: int = 0, exit_code: int | None = None, after: float = 0.0,
        output: str = "", errors: str = "", oom: bool = False, vanish: bool = False, ignores_signals: bool = False,
        start_error: str = "",
    ) -> None:  # fmt: skip
        """Let containers do this instead of their command: see ``rules.ContainerRule``."""
        self.add(
            ContainerRule(
                name=name,
                image=image,
                times=times,
                exit_code=exit_code,
                after=after,
                output=output,
                errors=errors,
                end="oom" if oom else "vanish" if vanish else "exit",
                ignores_signals=ignores_signals,
                start_error=start_error,
            )
        )

    # --- the engine -----------------------------------------------------------------------------------------

    def engine_down(self, message: str = "the script says that the engine is down") -> None:
        """Every call but Status is Unavailable from now on. Containers run on, as they do under a real engine."""
        self._down = message

    def engine_up(self) -> None:
        """The engine answers again."""
        self._down = ""

    @property
    def down(self) -> str:
        """Why the engine is down; empty while it is up."""
        return self._down

    def clear(self) -> None:
        """Forget all rules and recorded calls; the engine is up. Calls on hold go on."""
        for active in self._calls:
            if active.hold:
                active.hold.release()
        self._calls.clear()
        self._containers.clear()
        self._recorded.clear()
        self._down = ""

    # --- what happened --------------------------------------------------------------------------------------

    def calls(self, call: str) -> list[Message]:
        """The requests of every recorded ``call``, oldest first, failed ones included."""
        return [request for name, request in self._recorded if name == call]

    # --- for the runtime ------------------------------------------------------------------------------------

    def record(self, call: str, request: Message) -> None:
        """Called with every request that arrives."""
        self._recorded.append((call, request))

    async def before(self, call: str, request: Message, subject: Subject) -> Exception | None:
        """Called before the work of every RPC; the answer is an error to raise after the work."""
        if self._down and call not in _ENGINE_IS_DOWN_ANSWERS:
            raise Unavailable(self._down)
        before: Exception | None = None
        afterwards: Exception | None = None
        for active in self._matching(call, request, subject):
            active.use()
            if active.rule.delay:
                await self._clock.sleep(active.rule.delay)
            if active.hold:
                await active.hold.wait()
            if active.rule.after:
                afterwards = afterwards or active.error
            else:
                before = before or active.error
        if before:
            raise fresh(before)
        return fresh(afterwards) if afterwards else None

    def _matching(self, call: str, request: Message, subject: Subject) -> list[_Active]:
        if not self._calls:
            return []
        name, image = subject(request)
        self._calls = [active for active in self._calls if active.left != 0]
        return [
            active for active in self._calls if active.rule.call in ("*", call) and active.rule.applies_to(name, image)
        ]

    def container_rule(self, name: str, image: str) -> ContainerRule | None:
        """The first rule for a container that starts now, which uses it up by one."""
        for rule, used in self._containers:
            if rule.applies_to(name, image) and (not rule.times or len(used) < rule.times):
                if rule.times:
                    used.append(None)
                return rule
        return None
