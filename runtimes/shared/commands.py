"""Commands in containers, besides the containers' own: what ExecSync and Exec ask of a backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

KILLED = 137
"""The exit code of what SIGKILL ended."""

Write = Callable[[bytes], Awaitable[object]]


class Command(Protocol):
    """One command, from its start to its exit."""

    @property
    def exit_code(self) -> int | None:
        """Known once it has ended and somebody asked."""

    async def copy_output(self, stdout: Write, stderr: Write, *, tty: bool) -> None:
        """Until it has ended. Raises InvalidArgument when it could not be started at all."""

    async def wait(self) -> int:
        """The exit code, once ``copy_output`` has returned: 128 + n when signal n ended it."""

    async def write(self, data: bytes) -> None:
        """To its stdin, waiting while it is slow to read. Raises Unavailable once nobody reads any more."""

    def write_eof(self) -> None:
        """Its input has ended."""

    async def resize(self, width: int, height: int) -> None:
        """Change its terminal."""


class Commands(Protocol):
    """All commands of a backend."""

    async def check(self, container_id: str) -> None:
        """Raises NotFound, FailedPrecondition for a container that does not run, InvalidArgument for no id."""

    def running(
        self, container_id: str, command: Sequence[str], *, stdin: bool = False, tty: bool = False
    ) -> AbstractAsyncContextManager[Command]:
        """Start ``command``. Leaving the block before its end kills it, children included.

        Raises NotFound, and FailedPrecondition for a container that does not run, or is paused.
        """
