"""Folds the stages of a pipeline into one stream and runs it: entered, counted, timed, closed, never raising.

`kinds` tells what each stage is and makes a stream of it, `fused` runs plain functions in one loop, `counts` counts and
times what passes between stages, `caller` tells which stage asks for something, `failure` words what went wrong, `run`
has the chain itself. Where a chain runs lives in `execution`.
"""

from __future__ import annotations

from pipelines.chain.run import Chain, StageBuilder, run_chain

__all__ = ["Chain", "StageBuilder", "run_chain"]
