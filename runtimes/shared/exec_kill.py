"""Killing a command of an engine whose processes cannot be reached from here: by another command in the container."""

from __future__ import annotations

from cri.errors import FailedPrecondition

MARK = "MINICRI_EXEC"
"""Environment variable by which the processes of one command are found. Children inherit it."""

_ROUNDS = 3  # a process may fork while the list of processes is read

_SCRIPT = """
for round in $(seq "$2"); do
  for process in /proc/[0-9]*; do
    if tr '\\0' '\\n' <"$process/environ" | grep -qxF "$1"; then
      kill -9 "${process#/proc/}"
    fi
  done
done 2>/dev/null
echo done
"""


def killer(mark: str) -> list[str]:
    """The command, to run as root, that ends all processes with ``mark`` in their environment. Pure."""
    return ["sh", "-c", _SCRIPT, "sh", mark, str(_ROUNDS)]


def check(container_id: str, said: bytes) -> None:
    """Raises FailedPrecondition unless ``said``, what the killer printed, tells that it ran: the image may lack a
    shell, tr, grep, kill or seq."""
    if not said.rstrip().endswith(b"done"):
        raise FailedPrecondition(
            f"a command in container {container_id} cannot be killed: its engine is not on this host, "
            f"and the image has no shell to do it from inside: {said.decode('utf-8', 'replace').strip()}"
        )
