"""The image as a folder: what its Dockerfile copies laid out below a root of our own, and its commands run there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.project import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
MOUNTS = re.compile(r"(?<!\w)/(app|config|data)\b")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, in their order."""
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines()) if name]


def final(name: str) -> list[str]:
    """The arguments of an instruction in the stage that becomes the image."""
    all_of = instructions()
    last = max(place for place, (each, _) in enumerate(all_of) if each == "FROM")
    return [rest for each, rest in all_of[last:] if each == name]


def environment() -> dict[str, str]:
    """What ENV sets in the image."""
    return dict(pair.split("=", 1) for line in final("ENV") for pair in line.split())


def copies() -> list[tuple[str, str]]:
    """What is copied from the tree into the image, with where it goes."""
    found = []
    for line in final("COPY"):
        if "--from=" not in line:
            *sources, target = [word for word in line.split() if not word.startswith("--")]
            found += [(source, target) for source in sources]
    return found


@dataclass
class Image:
    """`root` stands for the image's own."""

    root: Path

    @classmethod
    def built(cls, root: Path) -> Image:
        """Copy what the Dockerfile copies."""
        for source, target in copies():
            place = root / target.lstrip("/")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place)
            else:
                place = place / source if target.endswith("/") else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / source, place)
        (root / "usr/local/bin/pipecall").chmod(0o755)
        (root / "data").mkdir()
        return cls(root)

    def here(self, text: str) -> str:
        """Return a text of the image with its folders as they are called here."""
        return MOUNTS.sub(rf"{self.root}/\1", text)

    def environment(self, **more: str) -> dict[str, str]:
        """What a command in the image sees, and `more`."""
        path = f"{self.root}/usr/local/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"
        given = {name: self.here(value) for name, value in (environment() | more).items()}
        return {"HOME": str(self.root / "data")} | given | {"PATH": path}

    def start(self, command: list[str], output: Path, **env: str) -> subprocess.Popen[bytes]:
        """Start a command as a container would."""
        with output.open("w") as sink:
            return subprocess.Popen(
                [self.here(word) for word in command],
                cwd=self.root / "data",
                env=self.environment(**env),
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def run(self, command: list[str], **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [self.here(word) for word in command],
            cwd=self.root / "data",
            env=self.environment(**env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def command_of(name: str) -> list[str]:
    """The last CMD or the health check's command, in its JSON form."""
    (line,) = final(name)
    return json.loads(line[line.index("[") :])
