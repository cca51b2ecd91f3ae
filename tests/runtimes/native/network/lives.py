"""`python -m tests.runtimes.native.network.lives DIRECTORY NAME COUNT`: sandboxes that come and go, one at a time, on a
network that ends with each last one of them. Each calls the host, which refuses: so it is there. Says `done`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from cri.annotations import NETWORK, NETWORK_SUBNETS
from runtimes.native.network import namespaces
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine, port

SHOP = {NETWORK: "shop", NETWORK_SUBNETS: "10.77.0.0/24"}
UNUSED_PORT = 9


async def live(directory: Path, name: str, count: int) -> None:
    engine = Engine(directory)
    for number in range(count):
        mappings = [port(80, 8000 + ord(name))] if number % 2 else []
        sandbox = await engine.sandbox(f"{name}-{number}", annotations=SHOP, port_mappings=mappings)
        with contextlib.suppress(ConnectionRefusedError):
            host.reach(sandbox.netns, sandbox.attachment.host, UNUSED_PORT)
        await engine.detach(sandbox)
        namespaces.remove(sandbox.netns.parent)
    await engine.close()
    print("done")


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
