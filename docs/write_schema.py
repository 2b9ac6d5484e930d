"""Write `pipelines.schema.json`, which editors check and complete pipelines files with: `python -m docs.write_schema`.

The schema is made from the models in `pipelines.definition`; a test fails when the file is not what they say.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.file_schema import json_schema

TARGET = Path(__file__).parent / "pipelines.schema.json"


def schema_text() -> str:
    """Return the schema as the file holds it."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(schema_text(), encoding="utf-8")
