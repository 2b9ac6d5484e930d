"""The service: runs pipelines on schedule until it is told to stop. `SCHEDULER_MODE=legacy` runs each once instead."""

import sys

from pipelines.service import main, serve_or_run_once

if __name__ == "__main__":
    sys.exit(main(serve_or_run_once))
