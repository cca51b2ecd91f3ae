"""Flags that several commands share, each written once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Output(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


class ManifestFormat(StrEnum):
    """What a manifest is written in."""

    YAML = "yaml"
    JSON = "json"
    TOML = "toml"


RuntimeOption = Annotated[
    str | None,
    typer.Option("--runtime", "-r", metavar="NAME|ADDRESS", help="auto, docker, podman, native, fake or an address."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration: TOML, YAML or JSON by extension.")
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address", "-a", metavar="ADDRESS", help="Where the orchestrator listens: unix:///path or host:port."
    ),
]
InsecureOption = Annotated[
    bool | None, typer.Option("--insecure", help="Plaintext on host:port; loopback only.", show_default=False)
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How the answer is printed.")]
FileOption = Annotated[
    str, typer.Option("--file", "-f", metavar="FILE", help="Manifest: YAML, JSON or TOML by extension; - is stdin.")
]
ContainerOption = Annotated[
    str, typer.Option("--container", "-c", metavar="NAME", help="Which of the task's containers.", show_default="main")
]
LenientOption = Annotated[
    bool, typer.Option("--lenient", help="Warn of what a Kubernetes manifest asks for in vain, instead of refusing it.")
]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME")]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label", "-l", metavar="KEY=VALUE", help="Only tasks with this label; repeatable.", show_default=False
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every task.")]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Answer only when it is done.")]
