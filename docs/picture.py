"""Draw the README's picture: run the program on a small project and render what it says. `python -m docs.picture`."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = Path(__file__).parent / "at-work.svg"
SECONDS = 12

PIPELINES = """
scheduler: {default_retry: {attempts: 3, delay: 2, jitter: false}}
pipelines:
  prices:
    schedule: {interval: {seconds: 5}}
    chain: [shop.prices, {class: pipelines.transforms.OnlyNew, kwargs: {key: id}}]
  stock-report:
    schedule: {daily: "09:30"}
    chain: [shop.prices]
  new-orders:
    schedule: {cron: "*/15 8-18 * * mon-fri", timezone: America/New_York}
    chain: [shop.prices]
  sync-customers:
    chain: [shop.customers]
"""
PLUGIN = """
from pipelines import current_run

def prices(_):
    yield from ({"id": number, "price": number * 1.25} for number in range(120))

def customers(_):
    if current_run().attempt == 1:
        raise ConnectionError("crm.example is away")
    current_run().log.info("4,210 customers are up to date")
"""
COLOURS = {"succeeded": "green", "failed": "bold red", "ERROR": "red", "INFO": "dim", "WARNING": "yellow"}


def said() -> str:
    """Run the program for a while and return what it said."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plugins").mkdir()
        (folder / "plugins" / "shop.py").write_text(PLUGIN)
        (folder / "pipelines.yml").write_text(PIPELINES)
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "main_scheduler.py")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "WEB_PORT": "8080"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        return process.communicate()[0].replace(f"{folder}/", "")


def draw(text: str) -> str:
    """Render text as a picture of a terminal, with no font fetched from anywhere."""
    console = Console(record=True, width=138, file=io.StringIO())
    console.print(Text("$ make run", style="bold"))
    for line in text.splitlines():
        rich_line = Text(re.sub(r"^\d{4}-\d\d-\d\d ", "", line))
        for word, style in COLOURS.items():
            rich_line.highlight_words([word], style=style)
        console.print(rich_line, soft_wrap=True)
    svg = console.export_svg(title="Pipecall")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code,", "")


if __name__ == "__main__":
    PICTURE.write_text(draw(said()), encoding="utf-8")
