"""A Unix socket: private from birth, never stolen, cleared away."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
import threading
from pathlib import Path

import pytest

import cri
from cri import sockets
from cri.addresses import UnixAddress
from cri.errors import AlreadyExists, FailedPrecondition, InvalidArgument, PermissionDenied
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import scripted


def mode(path: Path | str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def leave_stale(path: Path) -> None:
    """What a server that was killed leaves behind."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


async def answers(address: str) -> bool:
    async with cri.connect(address) as client:
        await client.version(v1.VersionRequest())
    return True


async def test_a_socket_is_for_owner_and_group_whatever_the_umask(short_path: Path) -> None:
    before = os.umask(0)
    try:
        async with cri.serve(scripted(), f"unix://{short_path}/x.sock"):
            assert mode(short_path / "x.sock") == 0o660
    finally:
        os.umask(before)


def test_a_socket_is_born_where_nobody_else_can_reach_it(short_path: Path) -> None:
    seen: list[int] = []

    def bind(birthplace: UnixAddress) -> None:
        leave_stale(Path(birthplace.path))
        seen.append(mode(os.path.dirname(birthplace.path)))

    sockets.place(UnixAddress(f"{short_path}/x.sock"), bind)
    assert seen == [0o700]


async def test_a_missing_directory_is_made_for_owner_and_group(short_path: Path) -> None:
    async with cri.serve(scripted(), f"unix://{short_path}/a/b/x.sock"):
        assert mode(short_path / "a" / "b") == 0o750
        assert os.listdir(short_path / "a" / "b") == ["x.sock"]


async def test_the_socket_goes_with_its_server(short_path: Path) -> None:
    async with cri.serve(scripted(), f"unix://{short_path}/x.sock"):
        pass
    assert os.listdir(short_path) == []


async def test_a_stale_socket_is_replaced(short_path: Path) -> None:
    leave_stale(short_path / "x.sock")
    async with cri.serve(scripted(), f"unix://{short_path}/x.sock") as server:
        assert await answers(server.address)


async def test_the_socket_of_a_killed_server_is_replaced(short_path: Path) -> None:
    program = (
        "import asyncio, cri, sys; sys.path.insert(0, '.')\n"
        "from tests.cri.scripted import scripted\n"
        "async def main():\n"
        "    async with cri.serve(scripted(), sys.argv[1]): print('up', flush=True); await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    address = f"unix://{short_path}/x.sock"
    root = Path(__file__).parents[2]
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, address, stdout=asyncio.subprocess.PIPE, cwd=root
    )
    try:
        assert other.stdout is not None
        assert await other.stdout.readline() == b"up\n"
    finally:
        other.kill()
        await other.wait()
    assert (short_path / "x.sock").exists()
    async with cri.serve(scripted(), address):
        assert await answers(address)


async def test_a_live_socket_is_refused_and_left_alone(short_path: Path) -> None:
    address = f"unix://{short_path}/x.sock"
    async with cri.serve(scripted(), address):
        with pytest.raises(AlreadyExists, match=r"x\.sock: another server listens there"):
            await cri.serve(scripted(), address).start()
        assert await answers(address)
    assert os.listdir(short_path) == []


def test_a_live_socket_that_is_too_busy_to_answer_is_refused(short_path: Path) -> None:
    path = short_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        with pytest.raises(AlreadyExists):
            sockets.place(UnixAddress(str(path)), lambda birthplace: leave_stale(Path(birthplace.path)))


def test_of_servers_that_start_at_the_same_time_one_wins(short_path: Path) -> None:
    address = UnixAddress(f"{short_path}/x.sock")
    listening: list[socket.socket] = []
    refused: list[AlreadyExists] = []
    together = threading.Barrier(8)

    def bind(birthplace: UnixAddress) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listening.append(listener)
        listener.bind(birthplace.path)
        listener.listen()

    def start() -> None:
        together.wait()
        try:
            sockets.place(address, bind)
        except AlreadyExists as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for listener in listening:
        listener.close()
    assert (len(listening), len(refused)) == (1, 7)


async def test_a_file_in_the_place_is_refused_and_left_alone(short_path: Path) -> None:
    (short_path / "x.sock").write_text("precious")
    with pytest.raises(FailedPrecondition, match="not a socket"):
        await cri.serve(scripted(), f"unix://{short_path}/x.sock").start()
    assert (short_path / "x.sock").read_text() == "precious"


async def test_a_link_in_the_place_is_refused(short_path: Path) -> None:
    (short_path / "x.sock").symlink_to(short_path / "elsewhere")
    with pytest.raises(FailedPrecondition, match="not a socket"):
        await cri.serve(scripted(), f"unix://{short_path}/x.sock").start()


async def test_a_file_for_a_directory_is_said(short_path: Path) -> None:
    (short_path / "file").write_text("")
    with pytest.raises(FailedPrecondition, match="is not a directory"):
        await cri.serve(scripted(), f"unix://{short_path}/file/x.sock").start()


def test_a_directory_that_is_not_ours_is_permission_denied(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", denied)  # root, who runs the tests, is never denied
    with pytest.raises(PermissionDenied, match=str(short_path)):
        sockets.place(UnixAddress(f"{short_path}/x.sock"), lambda birthplace: None)


async def test_a_socket_that_somebody_put_in_our_place_is_not_removed(short_path: Path) -> None:
    async with cri.serve(scripted(), f"unix://{short_path}/x.sock"):
        os.rename(short_path / "x.sock", short_path / "ours.sock")
        leave_stale(short_path / "x.sock")
    assert (short_path / "x.sock").exists()


async def test_a_socket_that_somebody_removed_is_not_missed(short_path: Path) -> None:
    async with cri.serve(scripted(), f"unix://{short_path}/x.sock"):
        os.unlink(short_path / "x.sock")


async def test_a_successor_may_take_the_place_while_calls_are_drained(short_path: Path) -> None:
    begun, finish = asyncio.Event(), asyncio.Event()

    async def version(request: object) -> v1.VersionResponse:
        begun.set()
        await finish.wait()
        return v1.VersionResponse(version="old")

    address = f"unix://{short_path}/x.sock"
    async with cri.serve(scripted(version=version), address) as old, cri.connect(address) as client:
        call = asyncio.create_task(client.version(v1.VersionRequest()))
        await begun.wait()
        drained = asyncio.create_task(old.drain())
        await asyncio.sleep(0)
        async with cri.serve(scripted(), address):
            finish.set()
            assert (await call).version == "old"
            await drained
            assert await answers(address)


async def test_a_path_with_signs_that_uris_give_a_meaning_works(short_path: Path) -> None:
    address = f"unix://{short_path}/50% ü?#x.sock"
    async with cri.serve(scripted(), address):
        assert await answers(address)


async def test_a_directory_too_deep_to_be_born_in_is_said(short_path: Path) -> None:
    room = 107 - len(f"{short_path}/") - len("/x")
    with pytest.raises(InvalidArgument, match="shorter directory"):
        await cri.serve(scripted(), f"unix://{short_path}/{'d' * room}/x").start()
