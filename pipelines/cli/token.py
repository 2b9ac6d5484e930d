"""`pipecall token create`, `list`, `revoke`: who may use REST and dashboard. Needs no pipelines file and no service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import frame, printing, words
from pipelines.cli.late import late
from pipelines.fields import seconds_of
from pipelines.model import Role

if TYPE_CHECKING:
    from pipelines.store.tokens import Token
    from pipelines.tokens import Tokens


class Level(StrEnum):
    """What a token may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(help="What the token is called.")]
May = Annotated[Level, typer.Option("--level", help="What it may do; each level may all that those before it may.")]
Expires = Annotated[str | None, typer.Option("--expires", help="When it ends, such as 90d; else when it is revoked.")]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def token() -> None:
    """Say who may use REST and dashboard."""


@app.command()
def create(name: Name, level: May, expires: Expires = None) -> None:
    """Make a token and show it, once: it is nowhere kept."""
    lasts = _lasting(expires) if expires is not None else None
    made = frame.run_async(_create(name, Role[level.name], lasts))
    printing.note(f"the token '{name}' ({level}), shown this once; send it as 'Authorization: Bearer TOKEN'")
    printing.line(made)


@app.command("list")
def list_all(as_json: frame.Json = False) -> None:
    """List the tokens, without the secret itself."""
    found = frame.run_async(_every())
    if as_json:
        printing.document(
            [
                {"name": each.name, "level": each.level.name.lower(), "created_at": each.created_at}
                | {"created_by": each.created_by, "expires_at": each.expires_at, "used_at": each.used_at}
                for each in found
            ]
        )
        return
    rows = [
        (
            *(each.name, each.level.name.lower(), words.instant(each.created_at), each.created_by),
            *(words.instant(at) if at is not None else "never" for at in (each.expires_at, each.used_at)),
        )
        for each in found
    ]
    printing.table(("name", "level", "made", "by", "expires", "used"), rows, empty="there are no tokens")


@app.command()
def revoke(name: Name) -> None:
    """Let a token do nothing more, from now on."""
    frame.run_async(_revoke(name))
    printing.line(f"'{name}' is revoked")


def _lasting(text: str) -> timedelta:
    seconds = seconds_of(text)
    if not seconds or not 0 < seconds <= 3650 * 86_400:
        raise typer.BadParameter(
            f"found '{text}', expected a time such as 12h or 90d, at most ten years", param_hint="--expires"
        )
    return timedelta(seconds=seconds)


@asynccontextmanager
async def _tokens() -> AsyncIterator[Tokens]:
    url = frame.settings().scheduler_db_url
    async with late("pipelines.store.opening:opened")(url, role="visitor") as (writer, reader):
        yield late("pipelines.tokens:Tokens")(writer, reader)


async def _create(name: str, level: Role, lasts: timedelta | None) -> str:
    async with _tokens() as tokens:
        return await tokens.make(name, level, by=frame.caller().name, expires=lasts)


async def _every() -> list[Token]:
    async with _tokens() as tokens:
        return await tokens.every()


async def _revoke(name: str) -> None:
    async with _tokens() as tokens:
        await tokens.revoke(name)
