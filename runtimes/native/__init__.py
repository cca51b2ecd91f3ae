"""The engine of our own: no daemon, all state on disk, the work done by crun (or runc), conmon and the kernel."""

from runtimes.native.backend import NativeBackend

backend = NativeBackend()
"""What the entry point ``native`` of the group ``cri.runtimes`` names."""
