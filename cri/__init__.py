"""The contract: Kubernetes CRI v1 in Python, served, called and plugged into.

What may live here: the generated messages, the ``Runtime`` class, its errors, the server and the client over the
table of RPCs, streaming, the log format, configuration and the plug-in point. Nothing here knows an engine or the
orchestrator.

The short way in::

    async with cri.open("docker") as runtime:           # or "auto", "fake", "unix:///run/x.sock"
        await runtime.version(v1.VersionRequest())

    with cri.sync.open("docker") as runtime:            # the same for scripts
        runtime.version(v1.VersionRequest())

    async with cri.connect("unix:///run/x.sock") as runtime: ...
    async with cri.serve(runtime, "unix:///run/y.sock") as server:
        await server.run_until_signal()
"""

# No "from __future__ import annotations" here: it would hide the module cri.annotations.
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cri.sync as sync
    from cri.client import connect as connect
    from cri.opening import open as open  # noqa: A004 - read as cri.open
    from cri.runtime import Runtime as Runtime
    from cri.server import serve as serve

_FOUND_IN = {"Runtime": "runtime", "connect": "client", "open": "opening", "serve": "server", "sync": "sync"}

__all__ = ["Runtime", "connect", "open", "serve", "sync"]


def __getattr__(name: str) -> object:
    """Import a name when it is first used: ``import cri`` alone costs nothing."""
    if name not in _FOUND_IN:
        raise AttributeError(f"module 'cri' has no attribute {name!r}")
    module = import_module(f"cri.{_FOUND_IN[name]}")
    value = module if name == "sync" else getattr(module, name)
    globals()[name] = value
    return value
