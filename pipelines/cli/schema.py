"""`pipecall schema`: the JSON Schema of a pipelines file, for editors."""

from __future__ import annotations

from pipelines.cli import printing
from pipelines.file_schema import json_schema


def schema() -> None:
    """Print the JSON Schema of a pipelines file; editors check and complete the file with it.

    Save it beside the file, and begin the file with: # yaml-language-server: $schema=pipelines.schema.json
    """
    printing.document(json_schema())
