"""CNI plug-ins that make nothing and note what they are told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RECORDER = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path
told, here = json.load(sys.stdin), Path(__file__).parent
name = told["type"]
call = {{"plugin": name, "told": told, **{{k: v for k, v in os.environ.items() if k.startswith("CNI_")}}}}
with (here / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
failing = here / f"{{name}}.{{os.environ['CNI_COMMAND']}}.fails"
if failing.exists():
    print(json.dumps({{"cniVersion": "1.0.0", "code": 7, "msg": "no luck", "details": "none at all"}}))
    sys.exit(1)
if (here / f"{{name}}.{{os.environ['CNI_COMMAND']}}.lasts").exists():
    parent = os.getppid()
    while os.getppid() == parent or (here / "outlives").exists():
        time.sleep(0.01)
if os.environ["CNI_COMMAND"] == "ADD":
    result = told.get("prevResult") or {{
        "cniVersion": "1.0.0",
        "interfaces": [{{"name": "br"}}, {{"name": "eth0", "sandbox": os.environ["CNI_NETNS"]}}],
        "ips": [{{"interface": 1, "address": "fd00:88::9/64"}},
                {{"interface": 1, "address": "10.88.0.9/16", "gateway": "10.88.0.1"}}],
    }}
    print(json.dumps(result))
with (here / "ends").open("a") as ends:
    ends.write(f"{{os.environ['CNI_COMMAND']}} {{name}}\\n")
"""
"""A plug-in that makes nothing. It answers as if it had, and notes what it was told; it fails, or lasts until
whoever called it is dead, or even longer, when it is to."""

CONFLIST = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [{"type": "first", "bridge": "cni9"}, {"type": "second", "capabilities": {"portMappings": True}}],
}


class Plugins:
    """Two recorders in a directory, and the network that they make."""

    def __init__(self, directory: Path) -> None:
        self.plugins = directory / "bin"
        self.configs = directory / "net.d"

    def install(self) -> None:
        for directory in (self.plugins, self.configs):
            directory.mkdir()
        (self.plugins / "calls").touch()
        for name in ("first", "second"):
            (self.plugins / name).write_text(RECORDER)
            (self.plugins / name).chmod(0o755)
        (self.configs / "10-pods.conflist").write_text(json.dumps(CONFLIST))
        (self.configs / "20-other.conflist").write_text("{")

    @property
    def settings(self) -> dict[str, Any]:
        """Of the engine's network."""
        return {"cni_config_dir": str(self.configs), "cni_bin_dirs": (str(self.plugins),)}

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.plugins / "calls").read_text().splitlines()]

    def order(self) -> list[tuple[str, str]]:
        return [(call["CNI_COMMAND"], call["plugin"]) for call in self.calls()]

    def fail(self, plugin: str, command: str) -> None:
        (self.plugins / f"{plugin}.{command}.fails").touch()

    def succeed(self, plugin: str, command: str) -> None:
        (self.plugins / f"{plugin}.{command}.fails").unlink()

    def ends(self) -> list[str]:
        """What was finished, in that order."""
        return (self.plugins / "ends").read_text().splitlines()

    def outlive(self, outlives: bool) -> None:
        """Whether one that lasts lasts longer than whoever called it."""
        (self.plugins / "outlives").touch() if outlives else (self.plugins / "outlives").unlink()

    def last(self, plugin: str, command: str, lasts: bool = True) -> None:
        file = self.plugins / f"{plugin}.{command}.lasts"
        file.touch() if lasts else file.unlink()
