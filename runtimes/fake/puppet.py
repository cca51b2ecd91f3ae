"""The program that a container runs when the script says what it does."""

from __future__ import annotations

import asyncio
import signal

from runtimes.fake.container import Container
from runtimes.fake.process import IGNORE, Process, Program
from runtimes.fake.programs import service
from runtimes.fake.rules import ContainerRule


def puppet(container: Container, rule: ContainerRule) -> Program:
    """What ``rule`` says, as the first process of ``container``."""

    async def act(process: Process) -> int:
        if rule.ignores_signals:
            for number in signal.valid_signals():
                process.on_signal(number, IGNORE)
        await process.out(rule.output)
        await process.err(rule.errors)
        if rule.exit_code is None and rule.end == "exit":
            return await (_forever() if rule.ignores_signals else service(process))
        await process.clock.sleep(rule.after)
        match rule.end:
            case "oom":
                container.kill_for_memory()
            case "vanish":
                container.lose()
            case "exit":
                return rule.exit_code or 0
        return await _forever()

    return act


async def _forever() -> int:
    never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return await never
