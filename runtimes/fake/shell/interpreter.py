"""Walks the tree: commands become processes of the same guest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from runtimes.fake.pipes import Buffer, Pipe, Sink
from runtimes.fake.process import Process
from runtimes.fake.program_table import ProgramNotFound
from runtimes.fake.shell import builtins
from runtimes.fake.shell.expansion import Expander
from runtimes.fake.shell.parser import parse
from runtimes.fake.shell.redirection import redirected
from runtimes.fake.shell.state import Break, Continue, Exit, State
from runtimes.fake.shell.syntax import AndOr, Command, For, Group, If, Loop, Pipeline, Script, ShellSyntaxError, Simple


async def sh(process: Process) -> int:
    """``sh -c TEXT [NAME [ARGS…]]``, ``sh FILE [ARGS…]``, or commands from standard input."""
    args = list(process.args[1:])
    state = State(process)
    while args and args[0].startswith("-") and args[0] not in ("-", "--"):
        flags = args.pop(0)[1:]
        state.errexit |= "e" in flags
        if "c" in flags:
            if not args:
                return await process.fail("-c needs a command", 2)
            text, state.name, state.positional = args[0], (args[1:2] or ["sh"])[0], args[2:]
            return await Shell(state).run_text(text)
    if args:
        try:
            text = process.files.read(args[0]).decode(errors="surrogateescape")
        except OSError as error:
            return await process.fail(f"can't open '{args[0]}': {error.strerror}", 2)
        state.name, state.positional = args[0], args[1:]
        return await Shell(state).run_text(text)
    return await Shell(state).run_input(process.streams.stdin)


def _close(pipe: Pipe, _: object) -> None:
    pipe.close()


class Shell:
    """One shell: a tree is run in ``state``."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.process = state.process
        self.expander = Expander(state.lookup, lambda: state.positional, self._substitute)

    async def run_text(self, text: str) -> int:
        """Run a whole script; a mistake anywhere in it means that nothing is run."""
        try:
            script = parse(text)
        except ShellSyntaxError as error:
            return await self.process.fail(error, 2)
        return await self._to_the_end(script)

    async def run_input(self, source: Pipe) -> int:
        """Run what comes from standard input, as soon as a command is complete."""
        held = ""
        while line := await source.read_line():
            held += line.decode(errors="surrogateescape")
            try:
                script = parse(held)
            except ShellSyntaxError as error:
                if "end of text" in str(error) or "unterminated" in str(error) or "missing" in str(error):
                    continue
                self.state.status = await self.process.fail(error, 2)
                held = ""
                continue
            held = ""
            try:
                await self._script(script)
            except Exit as leaving:
                return await self._leave(leaving.code)
            except ShellSyntaxError as error:
                self.state.status = await self.process.fail(error, 2)
        return await (self.run_text(held) if held.strip() else self._leave(self.state.status))

    async def _to_the_end(self, script: Script) -> int:
        try:
            await self._script(script)
        except Exit as leaving:
            return await self._leave(leaving.code)
        except ShellSyntaxError as error:
            return await self._leave(await self.process.fail(error, 2))
        except (Break, Continue):
            return await self._leave(self.state.status)
        return await self._leave(self.state.status)

    async def _leave(self, code: int) -> int:
        """Run the EXIT trap, once, on the way out."""
        trap = self.state.traps.pop(0, "")
        if not trap:
            return code
        self.state.status = code
        try:
            await self._script(parse(trap))
        except Exit as leaving:
            return leaving.code
        return code

    async def _script(self, script: Script) -> int:
        for item in script:
            await self._and_or(item)
            await self._run_traps()
        return self.state.status

    async def _run_traps(self) -> None:
        while self.state.pending:
            trap = self.state.traps.get(self.state.pending.pop(0), "")
            status = self.state.status
            await self._script(parse(trap))
            self.state.status = status

    async def _and_or(self, item: AndOr) -> None:
        if item.background:
            only = AndOr(item.first, item.rest, background=False)
            job = self._fork((only,))
            self.state.jobs.append(job)
            self.state.last_job = job
            self.state.status = 0
            return
        await self._pipeline(item.first, tested=bool(item.rest))
        for index, (sign, pipeline) in enumerate(item.rest):
            if (sign == "&&") == (self.state.status == 0):
                await self._pipeline(pipeline, tested=index + 1 < len(item.rest))

    async def _pipeline(self, pipeline: Pipeline, *, tested: bool) -> None:
        self.state.tested += tested or pipeline.negated
        try:
            if len(pipeline.commands) == 1:
                self.state.status = await self._command(pipeline.commands[0])
            else:
                self.state.status = await self._piped(pipeline.commands)
        finally:
            self.state.tested -= tested or pipeline.negated
        if pipeline.negated:
            self.state.status = int(self.state.status == 0)
        elif self.state.errexit and self.state.status and not (tested or self.state.tested):
            raise Exit(self.state.status)

    async def _piped(self, commands: Sequence[Command]) -> int:
        """Each command in a process of its own, all at once; the last one's status counts."""
        running: list[Process] = []
        source: Pipe | None = None
        for index, command in enumerate(commands):
            target = Pipe() if index + 1 < len(commands) else None
            script: Script = (AndOr(Pipeline((command,), False), (), background=False),)
            stage = self._fork(script, stdin=source or self.process.streams.stdin, stdout=target)
            for pipe in (source, target):
                if pipe is not None:
                    stage.exited.add_done_callback(partial(_close, pipe))
            running.append(stage)
            source = target
        return (await asyncio.gather(*(stage.wait() for stage in running)))[-1]

    async def _command(self, command: Command) -> int:
        match command:
            case Simple():
                return await self._simple(command)
            case Group(subshell=True):
                async with redirected(self.process, command.redirections, self.expander) as opened:
                    return await self._fork(command.body).wait() if opened else 1
        async with redirected(self.process, command.redirections, self.expander) as opened:
            if not opened:
                return 1
            match command:
                case If():
                    return await self._if(command)
                case Loop():
                    return await self._loop(command)
                case For():
                    return await self._for(command)
                case Group():
                    return await self._script(command.body)
        raise ShellSyntaxError(f"{command} is no command")

    async def _condition(self, script: Script) -> bool:
        self.state.tested += 1
        try:
            return await self._script(script) == 0
        finally:
            self.state.tested -= 1

    async def _if(self, command: If) -> int:
        for condition, body in command.branches:
            if await self._condition(condition):
                return await self._script(body)
        if command.otherwise is None:
            return 0
        return await self._script(command.otherwise)

    async def _loop(self, command: Loop) -> int:
        status = 0
        while await self._condition(command.condition) == command.goes_on:
            await asyncio.sleep(0)  # a loop of builtins must not keep everyone else from running
            try:
                status = await self._script(command.body)
            except Break:
                break
            except Continue:
                continue
        return status

    async def _for(self, command: For) -> int:
        status = 0
        for value in await self.expander.fields(command.words):
            await asyncio.sleep(0)
            self.state.assign(command.name, value)
            try:
                status = await self._script(command.body)
            except Break:
                break
            except Continue:
                continue
        return status

    async def _simple(self, command: Simple) -> int:
        self.state.substituted = 0
        words = await self.expander.fields(command.words)
        assigned = {name: await self.expander.text(word) for name, word in command.assignments}
        if not words:
            for name, value in assigned.items():
                self.state.assign(name, value)
        async with redirected(self.process, command.redirections, self.expander) as opened:
            if not opened:
                return 1
            if not words:
                return self.state.substituted
            if words[0] in builtins.TABLE:
                for name, value in assigned.items():
                    self.state.assign(name, value)
                return await builtins.TABLE[words[0]](self.state, words[1:])
            return await self._external(words, assigned)

    async def _external(self, words: list[str], assigned: dict[str, str]) -> int:
        try:
            child = self.process.spawn(words, stdin=self.process.streams.stdin, env=self.state.environment() | assigned)
        except ProgramNotFound:
            await self.process.err(f"{self.state.name}: {words[0]}: not found\n")
            return 127
        code = await child.wait()
        if code == 137:
            await self.process.err("Killed\n")
        return code

    def _fork(self, script: Script, *, stdin: Pipe | None = None, stdout: Sink | None = None) -> Process:
        """A subshell: a process with a copy of everything, whose changes stay its own."""
        parent = self.state

        async def subshell(process: Process) -> int:
            return await Shell(parent.copy_for(process))._to_the_end(script)

        return self.process.spawn(
            self.process.args, stdin=stdin, stdout=stdout, env=parent.environment(), program=subshell
        )

    async def _substitute(self, text: str) -> str:
        captured = Buffer()
        child = self._fork(parse(text), stdin=self.process.streams.stdin, stdout=captured)
        self.state.substituted = await child.wait()
        return captured.getvalue().decode(errors="surrogateescape")
