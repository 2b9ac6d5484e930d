"""Run every enabled pipeline once, or those named on the command line, then exit: 0, or 1 if one failed."""

import sys
from functools import partial

from pipelines.service import main, run_once

if __name__ == "__main__":
    sys.exit(main(partial(run_once, names=sys.argv[1:])))
