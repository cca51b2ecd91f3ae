"""Programs that talk over the sandbox's simulated network: httpd, wget, nc."""

from __future__ import annotations

import asyncio
import mimetypes
import posixpath
from contextlib import closing
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import h11

from runtimes.fake.files import absolute
from runtimes.fake.pipes import Connection
from runtimes.fake.process import Process, Program

_INDEX = "index.html"


def _options(args: tuple[str, ...], with_value: str) -> tuple[dict[str, str], list[str]]:
    """Short options as busybox takes them, those in ``with_value`` with their value, and the operands."""
    found: dict[str, str] = {}
    operands: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if not arg.startswith("-") or arg == "-":
            operands.append(arg)
            continue
        for position, letter in enumerate(arg[1:], start=2):
            if letter not in with_value:
                found[letter] = ""
                continue
            found[letter] = arg[position:] or (rest.pop(0) if rest else "")
            break
    return found, operands


async def httpd(process: Process) -> int:
    """``httpd [-f] [-v] [-p [ADDRESS:]PORT] [-h DIRECTORY]``: serve files; without ``-f`` in the background."""
    options, _ = _options(process.args[1:], "phcru")
    port = options.get("p", "80").rpartition(":")[2]
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        return await process.fail(f"bad port '{port}'")
    home = absolute(options.get("h", "."), process.cwd)
    if not process.files.is_directory(home):
        return await process.fail(f"can't change directory to '{options.get('h', home)}': No such file or directory")
    if "f" not in options:
        process.spawn([process.args[0], "-f", *process.args[1:]], program=httpd)
        return 0
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    try:
        stop_listening = process.guest.network.listen(int(port), accepted.put_nowait)
    except OSError as error:
        return await process.fail(f"bind: {error.strerror}")
    try:
        async with asyncio.TaskGroup() as serving:
            while True:
                serving.create_task(_serve(process, await accepted.get(), home))
    finally:
        stop_listening()


async def _serve(process: Process, connection: Connection, home: str) -> None:
    http = h11.Connection(h11.SERVER)
    with closing(connection):
        try:
            while True:
                request = await _next_event(http, connection)
                if not isinstance(request, h11.Request):
                    return
                while not isinstance(await _next_event(http, connection), h11.EndOfMessage):
                    pass
                await _answer(process, http, connection, request, home)
                if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                    return
                http.start_next_cycle()
        except (h11.RemoteProtocolError, BrokenPipeError):
            return  # the client left, or never spoke HTTP: only this connection ends


async def _next_event(http: h11.Connection, connection: Connection) -> h11.Event | None:
    """None when the other side said more than this exchange needs."""
    while True:
        event = http.next_event()
        if event is h11.PAUSED:
            return None
        if isinstance(event, h11.Event):
            return event
        http.receive_data(await connection.read())


async def _answer(
    process: Process, http: h11.Connection, connection: Connection, request: h11.Request, home: str
) -> None:
    target = unquote(urlsplit(request.target.decode()).path)
    path = absolute(home + absolute(target))  # the inner call takes every ".." before the home is put in front
    if process.files.is_directory(path):
        path = posixpath.join(path, _INDEX)
    if request.method not in (b"GET", b"HEAD"):
        status, kind, body = 501, "text/plain", b"Not Implemented\n"
    elif process.files.is_file(path):
        status, kind, body = 200, mimetypes.guess_type(path)[0] or "application/octet-stream", process.files.read(path)
    else:
        status, kind, body = 404, "text/plain", b"Not Found\n"
    headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    await _send(http, connection, h11.Response(status_code=status, reason=HTTPStatus(status).phrase, headers=headers))
    if request.method != b"HEAD":
        await _send(http, connection, h11.Data(data=body))
    await _send(http, connection, h11.EndOfMessage())


async def _send(http: h11.Connection, connection: Connection, event: h11.Event) -> None:
    data = http.send(event)
    if data:
        await connection.write(data)


async def wget(process: Process) -> int:
    """``wget [-q] [-T SECONDS] [-O FILE|-] URL``, plain HTTP."""
    options, operands = _options(process.args[1:], "OTPUt")
    if len(operands) != 1:
        return await process.fail("usage: wget [-q] [-T SEC] [-O FILE] URL")
    url = urlsplit(operands[0] if "://" in operands[0] else "http://" + operands[0])
    if url.scheme != "http" or not url.hostname:
        return await process.fail(f"not an http or ftp url: {operands[0]}")
    path = url.path or "/"
    target = path + (f"?{url.query}" if url.query else "")
    try:
        status, body = await _fetch(process, url.hostname, url.port or 80, target)
    except OSError as error:
        return await process.fail(f"can't connect to remote host ({url.hostname}): {error.strerror}")
    except h11.RemoteProtocolError as error:
        return await process.fail(f"error getting response: {error}")
    if status != 200:
        return await process.fail(f"server returned error: HTTP/1.1 {status}")
    name = options.get("O") or posixpath.basename(path) or _INDEX
    if name == "-":
        await process.out(body)
    else:
        try:
            process.files.write(absolute(name, process.cwd), body)
        except OSError as error:
            return await process.fail(f"can't open '{name}': {error.strerror}")
    return 0


async def _fetch(process: Process, host: str, port: int, target: str) -> tuple[int, bytes]:
    http = h11.Connection(h11.CLIENT)
    with closing(process.guest.network.dial(host, port)) as connection:
        headers = [("Host", host), ("Connection", "close")]
        await _send(http, connection, h11.Request(method="GET", target=target, headers=headers))
        await _send(http, connection, h11.EndOfMessage())
        status, body = 0, bytearray()
        while not isinstance(event := await _next_event(http, connection), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                raise h11.RemoteProtocolError("the server closed the connection")
        return status, bytes(body)


async def nc(process: Process) -> int:
    """``nc -l -p PORT`` takes one connection; ``nc HOST PORT`` makes one. Streams are joined to it."""
    options, operands = _options(process.args[1:], "pw")
    network = process.guest.network
    try:
        if "l" in options:
            port = int(options.get("p") or operands[-1])
            incoming: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

            def accept(connection: Connection) -> None:
                if incoming.done():
                    connection.close()
                else:
                    incoming.set_result(connection)

            stop_listening = network.listen(port, accept)
            try:
                connection = await incoming
            finally:
                stop_listening()
        else:
            connection = network.dial(operands[0], int(operands[1]))
    except (IndexError, ValueError):
        return await process.fail("usage: nc [-l -p PORT] [HOST PORT]")
    except OSError as error:
        return await process.fail(f"can't connect to remote host: {error.strerror}")
    sending = asyncio.ensure_future(_pump_out(process, connection))
    try:
        while chunk := await connection.read():
            await process.out(chunk)
    finally:
        sending.cancel()
        connection.close()
    return 0


async def _pump_out(process: Process, connection: Connection) -> None:
    try:
        while chunk := await process.streams.stdin.read():
            await connection.write(chunk)
    except BrokenPipeError:
        return
    connection.outgoing.close()


TABLE: dict[str, Program] = {"httpd": httpd, "nc": nc, "wget": wget}
