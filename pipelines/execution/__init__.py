"""Where chains run: worker processes (the default), threads, or the service's own event loop, behind one `Executor`.

`inline`, `thread` and `process` are the places, `protocol` has what they share. `process_worker` is the service's end
of a worker process, `worker_process` and `channel` are the other end, `wire` is what goes between them,
`system_process` starts and kills; `lines` and `output` are what a run logs and prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.execution.inline import InlineExecutor
from pipelines.execution.lease import Lease
from pipelines.execution.process import ProcessExecutor
from pipelines.execution.protocol import Executor, Listener
from pipelines.execution.system_process import WorkerArguments
from pipelines.execution.thread import ThreadExecutor
from pipelines.model import ExecutorKind
from pipelines.registry import Registry

__all__ = ["Executor", "Lease", "Listener", "make_executors"]


def make_executors(
    plugins: Path | None,
    allow: Sequence[str],
    *,
    processes: int,
    max_runs_per_worker: int = 1_000,
    close_s: float = 10.0,
    warm: int | None = None,
    registry: Registry | None = None,
) -> Mapping[ExecutorKind, Executor]:
    """Return one executor of each kind; none is started.

    `plugins` is the folder of the user's stages (None: there is none), `allow` the modules that stages may come from
    besides. At most `processes` worker processes run at a time, each replaced after `max_runs_per_worker` runs, and at
    most `warm` (None: as is usual) are started before the first run. A chain that is cancelled or timed out has
    `close_s` seconds to close its stages. `registry` has what the program itself registered, over the same plugins and
    modules (None: it registered nothing).
    """
    registry = registry or Registry(plugins, allow)
    arguments = WorkerArguments(plugins.absolute() if plugins is not None else None, tuple(allow))
    return {
        ExecutorKind.PROCESS: ProcessExecutor(
            arguments,
            registry,
            processes=processes,
            max_runs_per_worker=max_runs_per_worker,
            close_s=close_s,
            warm=warm,
        ),
        ExecutorKind.THREAD: ThreadExecutor(registry, close_s=close_s),
        ExecutorKind.INLINE: InlineExecutor(registry, close_s=close_s),
    }
