"""Commands about minicri itself: ``runtimes``, ``config show``, ``schema``, ``version``."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.options import ConfigOption, Output, OutputOption
from orchestrator.cli.running import execute, settings

if TYPE_CHECKING:
    from pathlib import Path


def runtimes(output: OutputOption = Output.TABLE, config: ConfigOption = None) -> None:
    """List the installed runtimes: which answers, in which version, which one auto takes, and why not the others."""
    execute(_runtimes(output, config), output)


async def _runtimes(output: Output, config: Path | None) -> None:
    from cri.opening import survey
    from orchestrator.cli import printing

    choice = await survey(settings(config).value.runtimes)
    if output in (Output.JSON, Output.YAML):
        found = [
            {"name": one.name, "auto": one is choice.chosen, **dataclasses.asdict(one.probe)}
            for one in choice.candidates
        ]
        print(printing.structured(found, output))
        return
    rows = [
        (
            one.name,
            "yes" if one.probe.available else "no",
            "*" if one is choice.chosen else "",
            one.probe.version or "-",
            one.probe.detail,
        )
        for one in choice.candidates
    ]
    print(printing.columns(("NAME", "ANSWERS", "AUTO", "VERSION", "DETAIL"), rows))
    if output is Output.WIDE:
        for one in choice.candidates:
            for feature, there in one.probe.features.items():
                print(f"{one.name}: {feature}: {'yes' if there else 'no'}")


config_app = typer.Typer(help="The configuration.", no_args_is_help=True, rich_markup_mode=None)


@config_app.command("show")
def config_show(output: OutputOption = Output.TABLE, config: ConfigOption = None) -> None:
    """Print the configuration that results, and where each value came from."""
    execute(_config_show(output, config), output)


async def _config_show(output: Output, config: Path | None) -> None:
    from orchestrator.cli import printing

    loaded = settings(config)
    if output in (Output.JSON, Output.YAML):
        found = {one.key: {"value": one.value, "source": one.source} for one in loaded.settings()}
        print(printing.structured(found, output))
        return
    rows = [(one.key, json.dumps(one.value, ensure_ascii=False), one.source) for one in loaded.settings()]
    print(printing.columns(("KEY", "VALUE", "SOURCE"), rows))


def schema() -> None:
    """Print the JSON Schema of manifests, for editors."""
    from orchestrator import manifest

    print(json.dumps(manifest.schema(), indent=2, ensure_ascii=False))


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    print(version_of("minicri"))
