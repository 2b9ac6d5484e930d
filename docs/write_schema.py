"""Write the JSON Schemas, which editors check and complete files with: `python -m docs.write_schema`.

`pipelines.schema.json` is for pipelines files, `jobs.schema.json` for JSON files of jobs. They are made from the models
in `pipelines.definition` and `pipelines.job_definition`; a test fails when a file is not what they say.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.file_schema import jobs_schema, json_schema

TARGET = Path(__file__).parent / "pipelines.schema.json"
JOBS_TARGET = Path(__file__).parent / "jobs.schema.json"


def schema_text(schema: Callable[[], dict[str, Any]] = json_schema) -> str:
    """Return a schema as its file holds it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(schema_text(), encoding="utf-8")
    JOBS_TARGET.write_text(schema_text(jobs_schema), encoding="utf-8")
