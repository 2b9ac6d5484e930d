"""Asks a web server for pages over a real socket, one after the other, in a process of its own: see `benchmarks.doors`.

`python -m benchmarks.asker HOST PORT`. Each line it is given is JSON, `[path, times]`; to each it answers with a line
of JSON, `{"status": …, "bytes": …, "taken_s": […]}`, in seconds from asking to the last byte.
"""

from __future__ import annotations

import json
import sys
import time
from http.client import HTTPConnection


def main(host: str, port: str) -> None:
    """Answer until there is nothing more to ask."""
    connection = HTTPConnection(host, int(port), timeout=120)
    for line in sys.stdin:
        path, times = json.loads(line)
        taken = []
        for _ in range(times):
            began = time.perf_counter()
            connection.request("GET", path, headers={"Accept-Encoding": "identity"})
            answer = connection.getresponse()
            content = answer.read()
            taken.append(time.perf_counter() - began)
        told = {"status": answer.status, "bytes": len(content), "taken_s": taken}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
