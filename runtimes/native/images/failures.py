"""What goes wrong with the files of images, as CRI's errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from cri.errors import FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
_REFUSED = (errno.EPERM, errno.EACCES, errno.EROFS)


class BadImage(InvalidArgument):
    """An image, or a layer of one, is damaged or asks for what no image may have; the message names the place in it."""

    reason = "BAD_IMAGE"


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """An OSError of the block as the CRIError that it means; ``doing`` says what could not be done."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        message = f"{doing}: {error.strerror or error}{where}"
        if error.errno in _FULL:
            raise ResourceExhausted(message) from error
        if error.errno in _REFUSED:
            raise PermissionDenied(message) from error
        raise FailedPrecondition(message) from error
