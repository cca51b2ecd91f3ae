"""minicri as a library: one task, declared in Python, on whichever engine answers.

python examples/library_async.py [RUNTIME]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import cri
from cri.v1 import api_pb2 as v1
from manifests.spec import TaskSpec
from orchestrator.control import Orchestrator
from orchestrator.store import MemoryStore


async def main(name: str) -> None:
    spec = TaskSpec(name="hello", image="busybox", command=("sh", "-c", "echo hello from $HOSTNAME"))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            cri.open(name) as runtime,
            Orchestrator(runtime, MemoryStore(), state_dir=Path(folder)) as orchestrator,
        ):
            version = await runtime.version(v1.VersionRequest())
            print(f"on {version.runtime_name} {version.runtime_version}")
            try:
                await orchestrator.submit([spec], actor="example")
                async for line in orchestrator.logs("hello", follow=True):
                    print(line.text.decode())
                task = (await orchestrator.wait_settled(["hello"]))["hello"]
                assert task is not None
                print(f"{task.id}: {task.state}, exit code {task.exit_code}")
            finally:
                await orchestrator.stop_all(forget=True, actor="example")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "auto"))
