"""Commands about images: ``image import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minicri.options import ConfigOption, Output, OutputOption, RuntimeOption
from minicri.running import execute, settings

if TYPE_CHECKING:
    from cri.runtime import Runtime

image_app = typer.Typer(help="Images.", no_args_is_help=True, rich_markup_mode=None)


@image_app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="An archive of Docker or OCI, or a root file system.")],
    name: Annotated[
        str, typer.Option("--name", metavar="REF", help="What to call it, in place of the names in it.")
    ] = "",
    platform: Annotated[
        str,
        typer.Option("--platform", metavar="OS/ARCH[/VARIANT]", help="Which of several, or what it is for."),
    ] = "",
    runtime: RuntimeOption = None,
    output: OutputOption = Output.TABLE,
    config: ConfigOption = None,
) -> None:
    """Take images into the engine's store from a file or a directory; no registry is needed."""
    execute(_import(path, name, platform, output, config, {"runtime": runtime}), output)


async def _import(
    path: Path, name: str, platform: str, output: Output, config: Path | None, flags: dict[str, object]
) -> None:
    import cri
    from cri.errors import Unimplemented
    from cri.importing import ImportsImages
    from minicri import printing

    told = settings(config, flags).value
    async with cri.open(told.runtime, runtimes=told.runtimes) as engine:
        if not isinstance(engine, ImportsImages):
            raise Unimplemented(f"the runtime {told.runtime} cannot import images; its engine has commands of its own")
        ids = await engine.import_image(path, name, platform)
        names = {image_id: await _names(engine, image_id) for image_id in ids}
    if output in (Output.JSON, Output.YAML):
        print(printing.structured([{"id": image_id, "names": found} for image_id, found in names.items()], output))
    else:
        rows = [(image_id, ", ".join(found) or "-") for image_id, found in names.items()]
        print(printing.columns(("ID", "NAMES"), rows))


async def _names(engine: Runtime, image_id: str) -> list[str]:
    from cri.v1 import api_pb2 as v1

    status = await engine.image_status(v1.ImageStatusRequest(image=v1.ImageSpec(image=image_id)))
    return list(status.image.repo_tags)
