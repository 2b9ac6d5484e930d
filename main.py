"""Run every enabled pipeline once, or those named on the command line, then exit: 0, or 1 if one failed."""

import signal
import sys
from functools import partial

if __name__ == "__main__":
    # Before the imports, which take a second: Ctrl-C must not show where in them it came.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from pipelines.collector import collector_off

    with collector_off(keep=True):
        from pipelines import faces
        from pipelines.service import main, run_once

    sys.exit(main(partial(run_once, names=sys.argv[1:], faces=faces.shipped())))
