"""`python -m tests.runtimes.native.network.crash DIRECTORY`: an engine that dies at a chosen instruction.

It works in DIRECTORY: sandboxes on the default and on a named network, with ports, attached and detached.
"""

from __future__ import annotations

from pathlib import Path

from cri.annotations import NETWORK, NETWORK_ALIASES
from runtimes.native.network import namespaces
from tests.runtimes.native import mortal
from tests.runtimes.native.network.engine import Engine, port


async def work(directory: Path) -> None:
    engine = Engine(directory)
    one = await engine.sandbox("one", port_mappings=[port(80, 8081)])
    two = await engine.sandbox("two", annotations={NETWORK: "shop", NETWORK_ALIASES: "db"})
    for sandbox in (one, two):
        await engine.detach(sandbox)
        namespaces.remove(sandbox.netns.parent)
    await engine.close()


if __name__ == "__main__":
    mortal.serve(work, Path(namespaces.__file__).parent)
