"""From a command's coroutine to a process that ends with the right code and one clear line.

Errors of the contract become a line on stderr (with ``-o json`` an object) and an exit code, see
``minicri.exits``. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from minicri.options import Output

if TYPE_CHECKING:
    from cri.config import Loaded
    from cri.errors import CRIError
    from minicri.settings import MinicriSettings
    from orchestrator.client import Client
    from orchestrator.v1 import orchestrator_pb2 as pb


def execute(work: Coroutine[Any, Any, int | None], output: Output = Output.TABLE) -> NoReturn:
    """Run a command to its end and leave with its exit code; None is success."""
    from cri.errors import CRIError

    try:
        code = asyncio.run(_until_terminated(work)) or 0
    except KeyboardInterrupt:
        raise typer.Exit(128 + signal.SIGINT) from None
    except asyncio.CancelledError:
        raise typer.Exit(128 + signal.SIGTERM) from None
    except Exception as error:
        told = _first(error)
        if isinstance(told, BrokenPipeError):
            # Whoever read our output has gone; nothing is left to say, and nobody to say it to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        if isinstance(told, OSError):
            fail(_of_the_system(told), output)
        if isinstance(told, CRIError):
            fail(told, output)
        raise
    raise typer.Exit(code)


async def _until_terminated(work: Coroutine[Any, Any, int | None]) -> int | None:
    """SIGTERM cancels the work, as SIGINT does by itself: what it has made is put away."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await work


def _first(error: Exception) -> Exception:
    """Several things may have been done at once: the first error of ours is the one to tell, but a bug stays a bug."""
    if not isinstance(error, ExceptionGroup):
        return error
    from cri.errors import CRIError

    leaves = [_first(one) for one in error.exceptions]
    bugs = (one for one in leaves if not isinstance(one, CRIError | OSError))
    return next(bugs, leaves[0])


def fail(error: CRIError, output: Output = Output.TABLE) -> NoReturn:
    """Say what went wrong and leave."""
    from minicri.exits import exit_for

    code = exit_for(error)
    if output is Output.JSON:
        told = {"code": error.code.name, "reason": error.reason, "message": error.message, "details": error.details}
        print(json.dumps({"error": {**told, "exit": int(code)}}), file=sys.stderr)
    else:
        for line in error.message.splitlines() or [type(error).__name__]:
            print(f"error: {line}", file=sys.stderr)
    raise typer.Exit(code)


def warn(warnings: Iterable[str]) -> None:
    """Say what was left out of a manifest."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _of_the_system(error: OSError) -> CRIError:
    from cri.errors import InvalidArgument, NotFound, PermissionDenied

    where = f"{error.filename}: " if error.filename else ""
    kinds: Mapping[type[OSError], type[CRIError]] = {FileNotFoundError: NotFound, PermissionError: PermissionDenied}
    kind = next((to for of, to in kinds.items() if isinstance(error, of)), InvalidArgument)
    return kind(f"{where}{error.strerror or error}")


def settings(config: Path | None, flags: Mapping[str, object] | None = None) -> Loaded[MinicriSettings]:
    """File, environment and flags together."""
    from cri.config import load
    from minicri.settings import MinicriSettings

    return load(MinicriSettings, config, flags=flags)


@asynccontextmanager
async def connected(address: str | None, config: Path | None = None) -> AsyncIterator[Client]:
    """A client of the running orchestrator. Raises Unavailable that says how to start one."""
    from cri.errors import Unavailable
    from orchestrator.client import Client

    told = settings(config, {"orchestrator.listen": address}).value.orchestrator
    async with Client.connect(told.listen, tls=told.tls, insecure=told.insecure) as client:
        try:
            yield client
        except Unavailable as error:
            if await _answers(client):
                raise
            raise Unavailable(f"no orchestrator answers at {told.listen}; start one with: minicri up") from error


async def _answers(client: Client) -> bool:
    from cri.errors import CRIError

    try:
        await client.ready(0.2)
    except CRIError:
        return False
    return True


def selector(names: list[str] | None, labels: list[str] | None) -> pb.Selector:
    """Names and ``KEY=VALUE`` labels as the service takes them."""
    from cri.errors import InvalidArgument
    from orchestrator.v1 import orchestrator_pb2 as pb

    pairs: dict[str, str] = {}
    for label in labels or []:
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise InvalidArgument(f"--label {label!r}: write KEY=VALUE")
        pairs[key] = value
    return pb.Selector(names=names or [], labels=pairs)


def format_name(form: str) -> str:
    """``yaml`` as the service names it."""
    return f"FORMAT_{form.upper()}"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(level: str, form: str) -> None:
    """How a server speaks of itself."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def allow_many_files() -> None:
    """Let this process have as many files open as the system allows it: each container that runs keeps some open, and
    the soft limit of a login is soon reached. The hard limit is the administrator's word and stays."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
