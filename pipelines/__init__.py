"""Pipecall's engine: pipelines in YAML, run on schedule, each run recorded. This is its front door.

Its names and where each lives stand in `__init__.pyi`. They are looked up when first asked for, so that a worker
process or a plugin which needs `Transform` alone does not pay for the scheduler and the database. Modules of the engine
import each other directly, never from here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
