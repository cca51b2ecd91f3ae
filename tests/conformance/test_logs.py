"""The log file that a container leaves on the host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cri import logs
from cri.errors import FailedPrecondition, InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, eventually, shell

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d) (stdout|stderr) [PF] .*\n")
KIB_16 = 16 * 1024


async def records(kit: Kit, sandbox: str, *command: str, **fields: object) -> list[logs.Record]:
    """What a container that runs to its end logs."""
    container_id = await kit.run(sandbox, *command, **fields)
    await kit.exited(container_id)
    return await kit.log(container_id)


async def path_of(kit: Kit, container_id: str) -> Path:
    return Path((await kit.status(container_id)).log_path)


async def reopen(kit: Kit, container_id: str) -> None:
    await kit.runtime.reopen_container_log(v1.ReopenContainerLogRequest(container_id=container_id))


async def test_a_line_is_time_stream_tag_text(kit: Kit, sandbox: str) -> None:
    """Logs: a line is `RFC3339Nano stdout|stderr P|F text`."""
    container_id = await kit.run(sandbox, *shell("echo out; echo err >&2; echo; printf open"))
    await kit.exited(container_id)
    lines = (await path_of(kit, container_id)).read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    for line in lines:
        assert LINE.fullmatch(line), line


async def test_each_line_names_its_stream(kit: Kit, sandbox: str) -> None:
    """Logs: a line is `RFC3339Nano stdout|stderr P|F text`."""
    seen = await records(kit, sandbox, *shell("echo out; echo err >&2"))
    assert {(record.stream, record.text) for record in seen} == {("stdout", b"out"), ("stderr", b"err")}


async def test_whole_lines_are_full(kit: Kit, sandbox: str) -> None:
    """Logs: F is a whole line, an empty one too."""
    seen = await records(kit, sandbox, *shell("echo one; echo; echo '  three '"))
    assert [(record.partial, record.text) for record in seen] == [(False, b"one"), (False, b""), (False, b"  three ")]


async def test_an_unterminated_last_line_is_partial(kit: Kit, sandbox: str) -> None:
    """Logs: an unterminated last line is P."""
    seen = await records(kit, sandbox, *shell("echo whole; printf open"))
    assert [(record.partial, record.text) for record in seen] == [(False, b"whole"), (True, b"open")]


async def test_long_lines_are_split_at_16_kib(kit: Kit, sandbox: str) -> None:
    """Logs: lines split at 16 KiB."""
    words = 2 * KIB_16 // 8 + 8
    seen = await records(kit, sandbox, *shell(f"echo $(yes 0123456 | head -n {words})"))
    text = b"".join(record.text for record in seen)
    assert len(text) > 2 * KIB_16
    assert all(len(record.text) <= KIB_16 for record in seen)
    assert [record.partial for record in seen] == [True] * (len(seen) - 1) + [False]
    assert text.split() == [b"0123456"] * words


@pytest.mark.needs("binary-logs")
async def test_bytes_that_are_no_text_are_kept(kit: Kit, sandbox: str) -> None:
    """Logs: lines are neither lost nor changed."""
    (record,) = await records(kit, sandbox, "printf", r"\377\376 \033[1m\t\n")
    assert record.text == b"\xff\xfe \x1b[1m\t"


async def test_lines_are_neither_lost_nor_doubled(kit: Kit, sandbox: str) -> None:
    """Logs: lines are neither lost nor doubled; the log is complete once the container has exited."""
    seen = await records(kit, sandbox, "seq", "5000")
    # A line may come in parts, wherever the runtime happened to read.
    printed = b"".join(record.printed for record in seen)
    assert [int(line) for line in printed.splitlines()] == list(range(1, 5001))


async def test_times_do_not_go_back(kit: Kit, sandbox: str) -> None:
    """Logs: RFC3339Nano: when the line was printed."""
    seen = await records(kit, sandbox, "seq", "200")
    times = [record.timestamp_ns for record in seen]
    assert times == sorted(times)


async def test_a_terminals_output_is_all_stdout(kit: Kit, sandbox: str) -> None:
    """Logs, and Streaming: tty means no stderr."""
    seen = await records(kit, sandbox, *shell("echo out; echo err >&2"), tty=True)
    assert {record.stream for record in seen} == {"stdout"}
    assert sorted(record.text.rstrip(b"\r") for record in seen) == [b"err", b"out"]


async def test_the_directory_is_the_sandboxs_and_the_path_the_containers(kit: Kit) -> None:
    """Logs: log directory from the sandbox, path from the container."""
    directory = kit.folder / kit.fresh("logs")
    sandbox_id = await kit.sandbox(log_directory=str(directory))
    await kit.exited(await kit.run(sandbox_id, "echo", "hello", log_path="web/0.log"))
    assert [record.text for record in logs.read(directory / "web" / "0.log")] == [b"hello"]


async def test_a_path_that_leaves_the_directory_is_refused(kit: Kit, sandbox: str) -> None:
    """Logs: log directory from the sandbox, path from the container."""
    with pytest.raises(InvalidArgument, match="log_path"):
        await kit.create(sandbox, log_path="../outside.log")


async def test_a_container_without_a_log_path_runs(kit: Kit, sandbox: str) -> None:
    """Logs: path from the container; without one there is no file."""
    container_id = await kit.run(sandbox, "echo", "unheard", log_path="")
    status = await kit.exited(container_id)
    assert (status.exit_code, status.log_path) == (0, "")


async def test_what_is_printed_is_in_the_file_while_the_container_runs(kit: Kit, sandbox: str) -> None:
    """Logs: a log is there to be followed."""
    container_id = await kit.run(sandbox, *shell("echo begun; sleep 86400"))
    await kit.logged(container_id, b"begun")
    assert (await kit.status(container_id)).state == v1.CONTAINER_RUNNING


async def test_a_log_outlives_its_container(kit: Kit, sandbox: str) -> None:
    """Logs: the file belongs to the caller."""
    container_id = await kit.run(sandbox, "echo", "hello")
    await kit.exited(container_id)
    path = await path_of(kit, container_id)
    await kit.remove(container_id)
    assert [record.text for record in logs.read(path)] == [b"hello"]


async def test_after_a_rotation_lines_go_to_the_new_file_and_none_is_lost(kit: Kit, sandbox: str) -> None:
    """Logs: ReopenContainerLog reopens after rotation; lines are neither lost nor doubled."""
    container_id = await kit.run(sandbox, *shell("n=0; while :; do echo line $n; n=$((n+1)); sleep 0.02; done"))
    await kit.logged(container_id, b"line 3")
    path = await path_of(kit, container_id)
    old = path.rename(path.with_name(f"{path.name}.1"))
    await reopen(kit, container_id)

    async def goes_on() -> bool:
        return bool(logs.read(path))

    await eventually(goes_on, "the new file has lines")
    await kit.stop(container_id)
    seen = [record.text for record in logs.read(old) + logs.read(path)]
    assert seen == [b"line %d" % n for n in range(len(seen))]


async def test_a_reopened_log_is_a_new_file_at_once(kit: Kit, sandbox: str) -> None:
    """Logs: ReopenContainerLog reopens after rotation."""
    container_id = await kit.run(sandbox, *shell("echo begun; sleep 86400"))
    await kit.logged(container_id, b"begun")
    path = await path_of(kit, container_id)
    path.rename(path.with_name(f"{path.name}.1"))
    await reopen(kit, container_id)
    assert path.exists()
    assert logs.read(path) == []


async def test_reopening_the_log_of_an_exited_container_is_refused_and_makes_no_file(kit: Kit, sandbox: str) -> None:
    """Logs: on error it must not create a file."""
    container_id = await kit.run(sandbox, "true")
    await kit.exited(container_id)
    path = await path_of(kit, container_id)
    path.unlink(missing_ok=True)
    with pytest.raises(FailedPrecondition):
        await reopen(kit, container_id)
    assert not path.exists()


async def test_reopening_the_log_of_a_created_container_is_refused_and_makes_no_file(kit: Kit, sandbox: str) -> None:
    """Logs: on error it must not create a file."""
    container_id = await kit.create(sandbox)
    with pytest.raises(FailedPrecondition):
        await reopen(kit, container_id)
    assert not (await path_of(kit, container_id)).exists()


async def test_reopening_the_log_of_an_unknown_container_is_not_found(kit: Kit) -> None:
    """gRPC: codes are specific: NOT_FOUND."""
    with pytest.raises(NotFound):
        await reopen(kit, "0" * 64)


async def test_a_container_that_exits_at_once_is_logged(kit: Kit, sandbox: str) -> None:
    """Logs: lines are not lost, however short the container's life."""
    for _ in range(3):
        assert [record.text for record in await records(kit, sandbox, "echo", "short")] == [b"short"]


async def test_a_container_that_is_killed_keeps_what_it_printed(kit: Kit, sandbox: str) -> None:
    """Logs: lines are not lost; an unterminated last line is P."""
    container_id = await kit.run(sandbox, *shell("printf open; touch /tmp/printed; sleep 86400"))

    async def look() -> bool:
        return (await kit.exec(container_id, "ls", "/tmp/printed")).exit_code == 0

    await eventually(look, "it has printed")
    await kit.stop(container_id)
    assert [(record.partial, record.text) for record in await kit.log(container_id)] == [(True, b"open")]
