"""How the end of a command is told, and how it is read."""

from __future__ import annotations

import json

import pytest

from cri.errors import Internal
from cri.streaming import status
from cri.streaming.status import Outcome


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_an_exit_code_survives_the_wire(code: int) -> None:
    assert status.decode(status.encode(status.exited(code), structured=True)) == Outcome(exit_code=code)


@pytest.mark.parametrize(("code", "told"), [(-9, 137), (-15, 143), (-200, 255), (300, 255)])
def test_a_signal_is_told_as_a_shell_tells_it(code: int, told: int) -> None:
    assert status.exited(code).exit_code == told


def test_a_failure_survives_the_wire() -> None:
    outcome = Outcome(failure="no such container")
    assert status.decode(status.encode(outcome, structured=True)) == outcome


def test_a_nonzero_exit_is_the_status_that_kubernetes_clients_look_for() -> None:
    assert json.loads(status.encode(Outcome(exit_code=3), structured=True)) == {
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": "command terminated with exit code 3",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }


def test_early_versions_say_nothing_after_a_success() -> None:
    assert status.encode(Outcome(), structured=False) == b""


def test_early_versions_tell_an_exit_code_in_words() -> None:
    assert status.encode(Outcome(exit_code=3), structured=False) == b"command terminated with exit code 3"


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no json", id="words"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="no status"),
        pytest.param(b'{"status": "Failure", "reason": "NonZeroExitCode"}', id="no exit code"),
        pytest.param(b'{"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{}]}}', id="no cause"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b'{"status":' * 5000, id="very deep"),
    ],
)
def test_what_is_no_status_is_an_internal_error(said: bytes) -> None:
    with pytest.raises(Internal, match="no status"):
        status.decode(said)
