"""Being the only one on this host who does a thing: two runtimes on one engine must not both write a container's log.

The claim is an address in Linux's abstract socket namespace: it is taken in one step, leaves no file behind, and is
free again the moment that its process is gone, however it went. It holds among processes of one network namespace.
"""

from __future__ import annotations

import errno
import socket


class Claim:
    """A thing that is ours until ``release``."""

    def __init__(self, holder: socket.socket) -> None:
        self._holder = holder

    @classmethod
    def take(cls, name: str) -> Claim | None:
        """The claim on ``name`` (at most 98 bytes); None while somebody else has it. Raises OSError when there are no
        more files to open."""
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind(b"\0minicri/" + name.encode())
        except OSError as error:
            holder.close()
            if error.errno != errno.EADDRINUSE:
                raise
            return None
        return cls(holder)

    def release(self) -> None:
        """Let others have it. Safe to call twice."""
        self._holder.close()
