"""The JSON Schemas of pipelines files and of files of jobs, for editors: made from the models, in the files' words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from pipelines.definition import PipelinesFile
from pipelines.job_config import CONFIGS
from pipelines.job_definition import JobsFile
from pipelines.schedule_definition import NAME, NAME_PATTERN


class _FileSchema(GenerateJsonSchema):
    """Says defaults the way the file would."""

    def encode_default(self, dft: Any) -> Any:
        """Write a duration as its seconds."""
        return dft.total_seconds() if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a pipelines file, for editors; it describes the file before variables are filled in."""
    schema: dict[str, Any] = PipelinesFile.model_json_schema(by_alias=True, schema_generator=_FileSchema)
    pipeline = schema["$defs"]["PipelineDefinition"]
    del pipeline["properties"]["name"]
    pipeline["required"].remove("name")
    schema["properties"]["pipelines"]["propertyNames"] = {"pattern": f"^{NAME_PATTERN}$", "maxLength": NAME.longest}
    schema["patternProperties"] = {"^x-": {}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_tidied(schema)}


def jobs_schema() -> dict[str, Any]:
    """Return the JSON Schema of a JSON file of jobs, for editors; what `config` holds depends on the type."""
    schema: dict[str, Any] = JobsFile.model_json_schema(schema_generator=_FileSchema)
    job = schema["$defs"]["JobDefinition"]
    job["allOf"] = [
        {
            "if": {"properties": {"type": {"const": str(kind)}}},
            "then": {"properties": {"config": model.model_json_schema(schema_generator=_FileSchema)}},
        }
        for kind, model in CONFIGS.items()
    ]
    schema["properties"]["$schema"] = {"type": "string"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_tidied(schema)}


def _tidied(schema: Any) -> Any:
    """Leave out the titles that pydantic makes of names, and all but the first paragraph of docstrings."""
    if isinstance(schema, list):
        return [_tidied(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidied(each) for key, each in schema.items() if key != "title" or not isinstance(each, str)}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split("\n\n")[0].split())
    return tidy
