"""What the command's exit code says, for scripts. Part of the interface: a code keeps its meaning.

``run`` and ``exec`` pass a task's or command's own code on; what stands here is then about minicri itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from cri import errors
from cri.errors import CRIError


class Exit(IntEnum):
    """The number, and its meaning."""

    OK = 0
    FAILED = 1
    """A bug, or an error that fits nothing below."""
    USAGE = 2
    """Wrong flags, a wrong manifest, configuration or value: try with other input."""
    NOT_FOUND = 3
    """No such task, image or file."""
    UNAVAILABLE = 4
    """The orchestrator or the engine does not answer, or not in time: trying again may help."""
    REFUSED = 5
    """The state forbids it: a task that has completed, a state folder that another process owns."""
    DENIED = 6
    """Permission or credentials are missing."""
    UNSUPPORTED = 7
    """This runtime cannot do it."""
    DIFFERS = 8
    """``diff``: ``apply`` would change something."""
    NOT_ROLLED_OUT = 9
    """What was declared failed to come up, or was rolled back."""
    NEVER_RAN = 125
    """``run``: a task failed before it had an exit code."""


_EXITS: Sequence[tuple[type[CRIError], Exit]] = (
    (errors.InvalidArgument, Exit.USAGE),
    (errors.OutOfRange, Exit.USAGE),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.Unavailable, Exit.UNAVAILABLE),
    (errors.DeadlineExceeded, Exit.UNAVAILABLE),
    (errors.ResourceExhausted, Exit.UNAVAILABLE),
    (errors.FailedPrecondition, Exit.REFUSED),
    (errors.AlreadyExists, Exit.REFUSED),
    (errors.Aborted, Exit.REFUSED),
    (errors.PermissionDenied, Exit.DENIED),
    (errors.Unauthenticated, Exit.DENIED),
    (errors.Unimplemented, Exit.UNSUPPORTED),
)


def exit_for(error: CRIError) -> Exit:
    """The exit code for an error of the contract's tree."""
    return next((code for kind, code in _EXITS if isinstance(error, kind)), Exit.FAILED)


def exit_of_tasks(codes: Sequence[int | None]) -> int:
    """What ``run`` exits with: 0 if every task ended with 0, else the code of the first one that did not.

    None is a task that failed without a code.
    """
    failed = [code for code in codes if code != 0]
    if not failed:
        return Exit.OK
    return Exit.NEVER_RAN if failed[0] is None else failed[0]
