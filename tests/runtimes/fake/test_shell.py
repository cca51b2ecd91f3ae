"""The small ``sh``."""

from __future__ import annotations

import asyncio

import pytest

from runtimes.fake.clock import ManualClock
from tests.runtimes.fake.calls import Calls


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("echo one; echo two", "one\ntwo\n"),
        ("true && echo yes || echo no", "yes\n"),
        ("false && echo yes || echo no", "no\n"),
        ("! false && echo turned", "turned\n"),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n"),
        ("i=0; while [ $i -lt 3 ]; do echo $i; i=$((i + 1)); done", "0\n1\n2\n"),
        ("i=3; until [ $i -eq 0 ]; do i=$((i-1)); done; echo $i", "0\n"),
        ("for x in a 'b c' d; do echo \"$x\"; done", "a\nb c\nd\n"),
        ("for x in 1 2 3; do [ $x = 2 ] && continue; echo $x; done", "1\n3\n"),
        ("for x in 1 2 3; do [ $x = 2 ] && break; echo $x; done", "1\n"),
        ("x=1; (x=2; echo $x); echo $x", "2\n1\n"),
        ("{ echo a; echo b; } | wc -l", "2\n"),
        ("echo 'single $x' \"double $((2 * 3))\" back\\ slash", "single $x double 6 back slash\n"),
        ("echo ${UNSET:-default} ${PATH:+set}", "default set\n"),
        ("echo $(echo inner; echo more)", "inner more\n"),
        ("x='a  b'; echo $x; echo \"$x\"", "a b\na  b\n"),
        ("echo a >/tmp/f; echo b >>/tmp/f; cat </tmp/f", "a\nb\n"),
        ("{ echo out; echo err >&2; } 2>&1 | wc -l", "2\n"),
        ("echo gone >/dev/null; echo there", "there\n"),
        ("set -- a b c; shift; echo $# $1 $@", "2 b b c\n"),
        ("A=1 env | grep ^A=", "A=1\n"),
        ("export B=2; sh -c 'echo $B'", "2\n"),
        ("cd /tmp && pwd", "/tmp\n"),
        ("printf 'a b c\\n' | { read x y; echo $y; }", "b c\n"),
        ("trap 'echo bye' EXIT; echo hi", "hi\nbye\n"),
        ("sleep 0 & wait; echo waited", "waited\n"),
        ("echo $(( (1 + 2) * 3 % 4 )) $((7 / -2))", "1 -3\n"),
        ("# nothing\necho said # more", "said\n"),
    ],
)
async def test_a_script_prints_what_a_real_shell_prints(calls: Calls, script: str, output: str) -> None:
    assert await calls.sh(script) == (0, output, "")


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 3", 3),
        ("false", 1),
        ("true; false; true", 0),
        ("set -e; false; echo not reached", 1),
        ("set -e; if false; then :; fi; exit 5", 5),
        ("no-such-command", 127),
        ("exec no-such-command", 127),
        ("sh -c 'exit 4'", 4),
        ("false | true", 0),
        ("true | false", 1),
    ],
)
async def test_a_script_ends_with_the_code_of_a_real_shell(calls: Calls, script: str, code: int) -> None:
    assert (await calls.sh(script))[0] == code


@pytest.mark.parametrize(
    "script",
    ["case x in x) ;; esac", "f() { :; }", "cat <<EOF\nx\nEOF", "echo 'open", "if true; then", ")", "echo ${x#y}"],
)
async def test_what_it_does_not_know_is_refused_before_anything_runs(calls: Calls, script: str) -> None:
    code, output, errors = await calls.sh(script)
    assert (code, output) == (2, "")
    assert errors.startswith("sh: ")


async def test_a_trap_runs_and_the_shell_goes_on_to_its_own_end(calls: Calls, clock: ManualClock) -> None:
    script = "trap 'echo stopping; exit 0' TERM; echo ready; while true; do sleep 1; done"
    container = await calls.run("sh", "-c", script)
    await clock.advance(5)
    stopping = asyncio.ensure_future(calls.stop(container, 10))
    await clock.advance(1)
    await stopping
    assert [record.text for record in calls.log(container)] == [b"ready", b"stopping"]
    assert container.reason == "Completed"


async def test_exec_makes_the_program_the_first_process(calls: Calls) -> None:
    container = await calls.run("sh", "-c", "exec sleep 1000")
    await asyncio.sleep(0)
    assert b"1 root     sleep 1000" in (await calls.exec(container, "ps")).stdout


async def test_the_first_process_takes_the_others_with_it(calls: Calls) -> None:
    container = await calls.done("sh", "-c", "sleep 1000 & exit 0")
    assert not container.guest.processes


async def test_commands_come_from_standard_input_too(calls: Calls) -> None:
    code, output, _ = await calls.sh("printf 'echo one\\nif true\\nthen echo two\\nfi\\nexit 6\\n' | sh")
    assert (code, output) == (6, "one\ntwo\n")


async def test_an_endless_loop_of_builtins_lets_everyone_else_run(calls: Calls) -> None:
    container = await calls.run("sh", "-c", "while :; do :; done")
    assert (await calls.exec(container, "echo", "here")).stdout == b"here\n"
