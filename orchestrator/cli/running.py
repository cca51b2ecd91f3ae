"""From a command's coroutine to a process that ends with the right code and one clear line.

Errors of the contract become a line on stderr (with ``-o json`` an object) and an exit code, see
``orchestrator.exits``. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from cri.errors import CRIError, InvalidArgument, NotFound, PermissionDenied, Unavailable
from orchestrator.cli.options import Output
from orchestrator.exits import Exit, exit_for

if TYPE_CHECKING:
    from cri.config import Loaded
    from orchestrator.client import Client
    from orchestrator.settings import MinicriSettings
    from orchestrator.v1 import orchestrator_pb2 as pb


def execute(work: Coroutine[Any, Any, int | None], output: Output = Output.TABLE) -> NoReturn:
    """Run a command to its end and leave with its exit code; None is success."""
    try:
        code = asyncio.run(work) or Exit.OK
    except CRIError as error:
        fail(error, output)
    except ExceptionGroup as group:
        # Several things were done at once; the first error of ours is the one to tell, a bug stays a bug.
        ours, bugs = group.split(CRIError)
        if ours is None or bugs is not None:
            raise
        fail(_first(ours), output)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(Exit.OK) from None
    except OSError as error:
        fail(_of_the_system(error), output)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(code)


def _first(group: BaseExceptionGroup[CRIError]) -> CRIError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def fail(error: CRIError, output: Output = Output.TABLE) -> NoReturn:
    """Say what went wrong and leave."""
    code = exit_for(error)
    if output is Output.JSON:
        told = {"code": error.code.name, "reason": error.reason, "message": error.message, "details": error.details}
        print(json.dumps({"error": {**told, "exit": int(code)}}), file=sys.stderr)
    else:
        for line in error.message.splitlines() or [type(error).__name__]:
            print(f"error: {line}", file=sys.stderr)
    raise typer.Exit(code)


def _of_the_system(error: OSError) -> CRIError:
    where = f"{error.filename}: " if error.filename else ""
    kinds: Mapping[type[OSError], type[CRIError]] = {FileNotFoundError: NotFound, PermissionError: PermissionDenied}
    kind = next((to for of, to in kinds.items() if isinstance(error, of)), InvalidArgument)
    return kind(f"{where}{error.strerror or error}")


def settings(config: Path | None, flags: Mapping[str, object] | None = None) -> Loaded[MinicriSettings]:
    """File, environment and flags together."""
    from cri.config import load
    from orchestrator.settings import MinicriSettings

    return load(MinicriSettings, config, flags=flags)


@asynccontextmanager
async def connected(address: str | None, config: Path | None = None) -> AsyncIterator[Client]:
    """A client of the running orchestrator. Raises Unavailable that says how to start one."""
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
    try:
        await client.ready(0.2)
    except CRIError:
        return False
    return True


def selector(names: list[str] | None, labels: list[str] | None) -> pb.Selector:
    """Names and ``KEY=VALUE`` labels as the service takes them."""
    from orchestrator.v1 import orchestrator_pb2 as pb

    pairs: dict[str, str] = {}
    for label in labels or []:
        key, equals, value = label.partition("=")
        if not key or not equals:
            raise InvalidArgument(f"--label {label!r}: write KEY=VALUE")
        pairs[key] = value
    return pb.Selector(names=names or [], labels=pairs)


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
