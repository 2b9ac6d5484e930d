"""`pipecall run` and `pipecall run-now`: run pipelines now, by the service, or here where none runs."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import codes, completing, frame, given
from pipelines.cli.late import late

Names = Annotated[
    list[str], typer.Argument(metavar="NAME…", help="Pipelines, enabled or not.", autocompletion=completing.pipelines)
]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Wait and show how they go on, or return at once.")]
Cancel = Annotated[bool, typer.Option("--cancel-on-interrupt", help="Ctrl-C cancels the runs, too.")]
Inline = Annotated[bool, typer.Option("--inline", help="In this very process, unrecorded: breakpoints work.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Inline, without the stages that take items out to somewhere.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Inline, so many items from the first stage.")]
Show = Annotated[bool, typer.Option("--show", help="Inline, showing what comes out of each stage.")]


def run(
    names: Names,
    param: given.Params = None,
    follow: Follow = True,
    cancel_on_interrupt: Cancel = False,
    inline: Inline = False,
    dry_run: DryRun = False,
    limit: Limit = None,
    show: Show = False,
    as_json: frame.Json = False,
) -> int:
    """Run pipelines now and follow them to their end: 0 where all ended well, else 1.

    A running service executes them; Ctrl-C then only ends the watching. Where none runs they are executed here, and
    Ctrl-C stops them.
    """
    params = given.params(param)
    if inline or dry_run or show or limit is not None:
        if as_json:
            raise typer.BadParameter("a run in this process is told in text only", param_hint="--json")
        code: int = late("pipelines.cli.inline_run:run_inline")(
            names, params=params, limit=limit, show=show, dry_run=dry_run
        )
        return code
    started = late("pipelines.cli.started_runs:Wish")(tuple(dict.fromkeys(names)), params, as_json)
    if not follow:
        return _queue(started)
    return _follow(started, cancel_on_interrupt)


def run_now(names: Names, param: given.Params = None, as_json: frame.Json = False) -> int:
    """Queue runs and return at once. A running service starts them now, else one does when it is started."""
    return _queue(late("pipelines.cli.started_runs:Wish")(tuple(dict.fromkeys(names)), given.params(param), as_json))


def _queue(wish: object) -> int:
    frame.run_async(late("pipelines.cli.started_runs:queue")(wish))
    return codes.OK


def _follow(wish: object, cancel_on_interrupt: bool) -> int:
    code: int = late("pipelines.cli.started_runs:follow")(wish, cancel_on_interrupt)
    return code
