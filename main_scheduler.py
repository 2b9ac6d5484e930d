"""The service: runs pipelines on schedule and answers in Discord and on the web until it is told to stop.

`SCHEDULER_MODE=legacy` runs each once instead. `--schedule-config FILE` names a JSON file of further jobs.
"""

import signal
import sys
from functools import partial

if __name__ == "__main__":
    # Before the imports, which take a second: Ctrl-C must not show where in them it came.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from pipelines.collector import collector_off

    with collector_off(keep=True):
        from pipelines import faces
        from pipelines.service import main, serve_or_run_once

    sys.exit(main(partial(serve_or_run_once, faces=faces.shipped()), sys.argv[1:]))
