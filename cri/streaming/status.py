"""How the end of a command is told on its error channel. Pure.

From version 4 of the protocol on, the channel carries a Kubernetes Status as JSON, success included. Earlier versions
carry the text of a failure, and nothing after a success: an exit code is only words there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from cri.errors import Internal

MAX_STATUS = 64 * 1024
"""Bytes of a status that a client reads."""

_MAX_EXIT_CODE = 255


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended: an exit code of the command, or a failure to run it at all."""

    exit_code: int = 0
    failure: str = ""

    @property
    def message(self) -> str:
        return self.failure or f"command terminated with exit code {self.exit_code}"


def exited(code: int) -> Outcome:
    """``code`` as clients can read it: 0 to 255. Python says -n for signal n, a shell and so the client 128 + n."""
    return Outcome(exit_code=min(128 - code if code < 0 else code, _MAX_EXIT_CODE))


def encode(outcome: Outcome, *, structured: bool) -> bytes:
    """The bytes for the error channel, perhaps none. ``structured`` is for version 4 and later."""
    succeeded = not outcome.failure and outcome.exit_code == 0
    if not structured:
        return b"" if succeeded else outcome.message.encode()
    status: dict[str, object]
    if succeeded:
        status = {"status": "Success"}
    elif outcome.failure:
        status = {"status": "Failure", "reason": "InternalError", "message": outcome.failure, "code": 500}
    else:
        causes = [{"reason": "ExitCode", "message": str(outcome.exit_code)}]
        status = {
            "status": "Failure",
            "reason": "NonZeroExitCode",
            "message": outcome.message,
            "details": {"causes": causes},
        }
    return json.dumps(status).encode()


def decode(data: bytes) -> Outcome:
    """The client's side of ``encode`` in version 4 and later. Raises Internal for what is no status."""
    try:
        status = json.loads(data)
        if status["status"] == "Success":
            return Outcome()
        if status.get("reason") == "NonZeroExitCode":
            causes = status["details"]["causes"]
            return Outcome(exit_code=next(int(cause["message"]) for cause in causes if cause["reason"] == "ExitCode"))
        return Outcome(failure=str(status.get("message") or status.get("reason") or "the server gave no reason"))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise Internal(f"the server ended the command with something that is no status: {data[:200]!r}") from error
