"""The command ``minicri``: the composition root, the only place that knows every part.

What may live here: commands, and how they print. A command's module imports what is heavy inside the command, so that
``minicri --help`` costs nothing.
"""

from __future__ import annotations

import typer

from minicri import asking, changing, declaring, images, inspecting, oneshot, orphans, rollouts, serving, terminal

_EXITS = (
    "Exit codes: 0 done, 1 internal error, 2 wrong usage or manifest, 3 not found, 4 nothing answers, "
    "5 refused by the state, 6 not permitted, 7 not supported here, 8 diff found something, 9 a rollout failed; "
    "run and exec pass on the code of what they ran."
)

app = typer.Typer(
    name="minicri",
    help="Containers on whichever engine you have: a Kubernetes CRI endpoint, and tasks declared in files.",
    epilog=_EXITS,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    oneshot.run,
    serving.up,
    declaring.apply,
    declaring.diff,
    asking.get,
    asking.describe,
    asking.logs,
    terminal.exec_,
    changing.stop,
    changing.restart,
    changing.delete,
    declaring.scale,
    declaring.rollback,
    asking.events,
    asking.export,
    orphans.orphans,
    serving.serve,
    inspecting.runtimes,
    inspecting.schema,
    inspecting.version,
):
    app.command(command.__name__.rstrip("_"))(command)
app.add_typer(rollouts.rollout_app, name="rollout")
app.add_typer(images.image_app, name="image")
app.add_typer(inspecting.config_app, name="config")


def main() -> None:
    """The entry point."""
    app()
