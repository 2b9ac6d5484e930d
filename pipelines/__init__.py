"""Pipecall's engine: pipelines in YAML, run on schedule, each run recorded. This is its front door.

Names are looked up in their modules when first asked for, so that a worker process or a plugin which needs `Transform`
alone does not pay for the scheduler and the database. Modules of the engine import each other directly, never from
here.
"""
