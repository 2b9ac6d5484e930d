"""`main_scheduler.py` with a lock on PostgreSQL that lives for `LOCK_LIFE_S` seconds: nobody waits ten for its end."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

from pipelines.locks.postgres_lock import PostgresLock

if __name__ == "__main__":
    given = PostgresLock.__init__.__kwdefaults__
    assert "life_s" in given
    given["life_s"] = float(os.environ["LOCK_LIFE_S"])
    runpy.run_path(str(Path(__file__).parents[2] / "main_scheduler.py"), run_name="__main__")
