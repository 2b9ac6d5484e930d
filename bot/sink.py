"""The stage that posts a chain's items to Discord: DiscordSink.

It runs where chains run, mostly in a worker process, and talks to nobody: messages are handed to the run, stored with
its successful end, and delivered by the service. So a Discord that is away never fails a pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from bot import posts
from bot.destination import KNOWN, Destination, Forum, destination, forum_of, pings_of
from bot.files import File, rows_file
from bot.gathered import Gathered
from bot.lengths import cut
from bot.limits import FILE_BYTES
from bot.posts import ROOM, Frame
from bot.rendering import Body, Format, Look, body_of
from bot.rows import Columns
from bot.safe_text import filename as safe_filename
from bot.safe_text import inline_cut
from bot.templates import MarkdownTemplate
from pipelines import Placeholders, RunContext, Transform, current_run

MOST_MESSAGES = 20
_FORMATS = ("auto", "embed", "table", "list", "template", "csv", "jsonl")
_TEXT_UNITS = 256


class DiscordSink(Transform):
    """Posts the items to Discord once the run has succeeded, and passes them on. docs/discord-sink.md has examples.

    ```yaml
    class: bot.sink.DiscordSink
    kwargs:
      channel_id: 1139985544332211000
      title: "{pipeline}: {rows} offers"
    ```

    Args:
        channel_id: The channel, thread or forum. Either this or `webhook` is needed.
        webhook: The name of the environment variable that holds a webhook's address.
        thread_id: A thread of that channel.
        forum: For a forum, the post: `name` (placeholders as in `title`), `tags` (names, at most 5), and `reuse`,
            `run` (a post for each run, the default) or `pipeline` (one for all of its runs).
        format: `auto`, `embed`, `table`, `list`, `template`, `csv` or `jsonl`. Default: auto, by number and width of
            the rows.
        columns: The fields to show, as a list of names or JMESPath expressions, or as a mapping of name to such.
            Default: the first 6 in a table or list, all in an embed or file.
        title: A line above, in bold. `{pipeline}`, `{date}`, `{run_id}` and `{rows}` are filled in. Default: the
            pipeline's name above embeds, else none.
        template: A text for each item, with placeholders as in Template; markdown in it works, in its values not.
        footer: A line below; filled in like `title`.
        on_empty: `skip` posts nothing when there are no items, `say` says so. Default: skip.
        max_rows: Rows to show. Default: as many as there is room for.
        max_messages: Messages of one run, from 1 to 20; what is beyond is in the file. Default: 5.
        max_bytes: Bytes of the file; a larger one is compressed, and left out if that is not enough. Default: 8 MiB.
        mobile: Keeps tables narrow enough for a telephone. Default: false.
        attach: Whether a file goes along: `auto` (if anything is not shown), `always`, `never`. Default: auto.
        filename: The file's name without ending; filled in like `title`. Default: `{pipeline}-{date}`.
        mention: Whom to ping: lists of ids, `roles` and `users`. Default: nobody, whatever the items say.
        silent: Posts without a notification. Default: false.
        suppress_embeds: Shows no previews of links. Default: true.
        username: The name to post under; webhooks only.
        avatar_url: The picture to post with; webhooks only.

    Raises:
        ValueError: an argument is wrong, or an expression or placeholder does not go with an item.
    """

    def __init__(  # noqa: PLR0913  # each is a keyword of the pipelines file
        self,
        *,
        channel_id: int | str | None = None,
        webhook: str | None = None,
        thread_id: int | str | None = None,
        forum: dict[str, Any] | None = None,
        format: Format = "auto",  # noqa: A002  # the word people look for in the file
        columns: list[str] | dict[str, str] | None = None,
        title: str | None = None,
        template: str | None = None,
        footer: str | None = None,
        on_empty: Literal["skip", "say"] = "skip",
        max_rows: int | None = None,
        max_messages: int = 5,
        max_bytes: int = 8 * 2**20,
        mobile: bool = False,
        attach: Literal["auto", "always", "never"] = "auto",
        filename: str = "{pipeline}-{date}",
        mention: dict[str, list[int | str]] | None = None,
        silent: bool = False,
        suppress_embeds: bool = True,
        username: str | None = None,
        avatar_url: str | None = None,
    ) -> None:
        """Check the arguments."""
        self._to: Destination = destination(
            channel_id, webhook, thread_id=thread_id, username=username, avatar_url=avatar_url
        )
        self._forum: Forum | None = forum_of(forum)
        if forum is not None and thread_id is not None:
            raise ValueError("forum: a post of a forum is a thread of its own; leave out thread_id")
        if self._forum is not None and self._forum.tags and webhook is not None:
            raise ValueError("forum: a webhook knows no tags by their names; leave out tags, or give channel_id")
        _check_format(format, template)
        _check_choice(on_empty, ("skip", "say"), argument="on_empty")
        _check_choice(attach, ("auto", "always", "never"), argument="attach")
        self._columns = Columns(columns)
        self._template = None if template is None else MarkdownTemplate(template, argument="template")
        self._look = Look(
            format=format,
            named=columns is not None,
            templated=template is not None,
            mobile=mobile,
            max_rows=None if max_rows is None else _check_number(max_rows, 1_000, argument="max_rows"),
            max_messages=_check_number(max_messages, MOST_MESSAGES, argument="max_messages"),
        )
        self._title = _run_text(title, argument="title")
        self._footer = _run_text(footer, argument="footer")
        self._filename = Placeholders(filename, argument="filename", known=KNOWN)
        self._max_bytes = _check_number(max_bytes, FILE_BYTES, argument="max_bytes")
        self._says_empty = on_empty == "say"
        self._attach = attach
        roles, users = pings_of(mention)
        self._frame = Frame(
            roles=roles, users=users, silent=silent, suppress_embeds=suppress_embeds, more=self._to.payload
        )

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield each item; then post them.

        A later stage that asks for no more items ends this one; what came until then is posted.
        """
        room = self._look.max_messages * ROOM
        with Gathered(self._columns, self._template, text_units=room, hide=current_run().hide) as gathered:
            try:
                async for item in items:
                    gathered.add(item)
                    yield item
            except GeneratorExit:
                await self._post(gathered)
                raise
            await self._post(gathered)

    async def _post(self, gathered: Gathered) -> None:
        """Emit the messages. They need no keys of their own: those of the one attempt that succeeds are kept."""
        run = current_run()
        if not gathered.total and not self._says_empty:
            return
        values = _run_values(run, gathered.total)
        more = dict(self._to.body)
        if self._forum is not None:
            more["forum"] = self._forum.record(values)
        for body in await asyncio.to_thread(self._messages, gathered, values, run):
            run.emit(self._to.target, {**body, **more}, kind="message")

    def _messages(self, gathered: Gathered, values: Mapping[str, Any], run: RunContext) -> list[dict[str, Any]]:
        frame = replace(
            self._frame,
            intro="" if self._title is None else f"**{cut(self._title.fill(values), _TEXT_UNITS)}**",
            outro="" if self._footer is None else cut(self._footer.fill(values), _TEXT_UNITS),
        )
        if not gathered.total:
            quiet = replace(frame, roles=(), users=())
            return posts.messages([], quiet, note="No rows this time.", file=None, about="")
        body = body_of(gathered.rows, gathered.texts, gathered.total, look=self._look, room=frame.room)
        if self._title is None and body.parts and body.parts[0].embeds:
            frame = replace(frame, intro=f"**{inline_cut(run.pipeline, _TEXT_UNITS)}**")  # what a notification shows
        file = self._file(gathered, body, values)
        note = note_of(gathered.total, body, file, tried=self._attach != "never")
        about = _about(gathered)
        made = posts.messages(body.parts, frame, note=note, file=file, about=about)
        faults = posts.refused(made)
        if not faults:
            return made
        run.log.warning("posted to Discord as a plain text, since Discord would refuse the message: %s", faults[0])
        return [posts.fallback(frame, f"{run.pipeline}: {about}", file or self._rows_file(gathered, values))]

    def _file(self, gathered: Gathered, body: Body, values: Mapping[str, Any]) -> File | None:
        wanted = self._attach == "always" or (self._attach == "auto" and not body.whole)
        return self._rows_file(gathered, values) if wanted else None

    def _rows_file(self, gathered: Gathered, values: Mapping[str, Any]) -> File | None:
        kind = "jsonl" if self._look.format == "jsonl" else "csv"
        name = safe_filename(self._filename.fill(values)).removesuffix(f".{kind}")
        return rows_file(gathered, kind=kind, name=name, max_bytes=self._max_bytes)


def note_of(total: int, body: Body, file: File | None, *, tried: bool) -> str:
    """Return the line that says what is not shown, and where it is; empty when there is nothing to say."""
    if body.whole:
        return ""
    if body.shown == total:
        said = "shortened"
    else:
        said = f"{body.shown:,} of {rows_text(total)}" if body.shown else rows_text(total)
    if file is not None:
        return f"-# {said} · all in `{file.name}`"
    if not tried:
        return "" if body.shown == total else f"-# {said}"
    return f"-# {said} · a file of all would be too large to attach; a FileSink in the chain keeps them"


def rows_text(count: int) -> str:
    """Return `1 row`, `1,234 rows`."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def _about(gathered: Gathered) -> str:
    return f"{rows_text(gathered.total)} with the columns {', '.join(gathered.fields)}"


def _run_values(run: RunContext, rows: int) -> dict[str, Any]:
    due = run.due_at or datetime.now(UTC)
    return {"pipeline": run.pipeline, "run_id": run.run_id, "date": due.date(), "rows": rows}


def _run_text(text: str | None, *, argument: str) -> MarkdownTemplate | None:
    return None if text is None else MarkdownTemplate(text, argument=argument, known=KNOWN)


def _check_format(given: str, template: str | None) -> None:
    _check_choice(given, _FORMATS, argument="format")
    if given == "template" and template is None:
        raise ValueError("format: template needs the keyword template, a text such as '{title} costs {price}'")
    if template is not None and given not in ("auto", "template", "embed"):
        raise ValueError(f"template: it does not go with format: {given}; leave one of them out")


def _check_choice(given: str, known: tuple[str, ...], *, argument: str) -> None:
    if given not in known:
        raise ValueError(f"{argument}: found {given!r}, expected one of {', '.join(known)}")


def _check_number(given: int, most: int, *, argument: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= most:
        raise ValueError(f"{argument}: found {given!r}, expected a whole number from 1 to {most:,}")
    return given
