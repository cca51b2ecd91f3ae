"""Docker's terminals."""

from __future__ import annotations

NEVER_DETACH = ",".join(["ctrl-@", "ctrl-^"] * 8)
"""``detachKeys`` that nobody types. There is no way to have none, and the default swallows ctrl-p, which is a shell's
way back in its history."""
