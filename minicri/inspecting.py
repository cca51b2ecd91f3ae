"""Commands about minicri itself: ``runtimes``, ``config show``, ``schema``, ``version``."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import typer

from minicri.options import ConfigOption, Output, OutputOption
from minicri.running import execute, settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cri.opening import Candidate, Choice


def runtimes(output: OutputOption = Output.TABLE, config: ConfigOption = None) -> None:
    """List the installed runtimes: which answers, in which version, which one auto takes, and why not the others."""
    execute(_runtimes(output, config), output)


async def _runtimes(output: Output, config: Path | None) -> None:
    from cri.opening import survey
    from minicri import printing

    choice = await survey(settings(config).value.runtimes)
    if output in (Output.JSON, Output.YAML):
        found = [
            {"name": one.name, "auto": one is choice.chosen, "why": _why(one, choice), **dataclasses.asdict(one.probe)}
            for one in choice.candidates
        ]
        print(printing.structured(found, output))
        return
    rows = [
        (
            one.name,
            "yes" if one.probe.available else "no",
            one.probe.version or "-",
            one.probe.api or "-",
            "*" if one is choice.chosen else "",
            _why(one, choice),
        )
        for one in choice.candidates
    ]
    print(printing.columns(("NAME", "ANSWERS", "VERSION", "API", "AUTO", "WHY"), rows))
    for one in (one for one in choice.candidates if one.probe.features):
        print(f"\n{one.name} has:    {_listed(one.probe.features, True)}")
        print(f"{one.name} has not: {_listed(one.probe.features, False)}")


def _why(candidate: Candidate, choice: Choice) -> str:
    """Why ``auto`` takes it, or why not."""
    if candidate is choice.chosen or not candidate.probe.available:
        return candidate.probe.detail
    if candidate.rank is None:
        return f"{candidate.probe.detail}; auto never takes it, so name it"
    assert choice.chosen is not None
    return f"{candidate.probe.detail}; auto prefers {choice.chosen.name}"


def _listed(features: Mapping[str, bool], there: bool) -> str:
    return ", ".join(name for name, has in features.items() if has is there) or "-"


config_app = typer.Typer(help="The configuration.", no_args_is_help=True, rich_markup_mode=None)


@config_app.command("show")
def config_show(output: OutputOption = Output.TABLE, config: ConfigOption = None) -> None:
    """Print the configuration that results, and where each value came from."""
    execute(_config_show(output, config), output)


async def _config_show(output: Output, config: Path | None) -> None:
    from minicri import printing

    loaded = settings(config)
    if output in (Output.JSON, Output.YAML):
        found = {one.key: {"value": one.value, "source": one.source} for one in loaded.settings()}
        print(printing.structured(found, output))
        return
    rows = [(one.key, json.dumps(one.value, ensure_ascii=False), one.source) for one in loaded.settings()]
    print(printing.columns(("KEY", "VALUE", "SOURCE"), rows))


def schema() -> None:
    """Print the JSON Schema of manifests, for editors."""
    from manifests import manifest

    print(json.dumps(manifest.schema(), indent=2, ensure_ascii=False))


def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    print(version_of("minicri"))
