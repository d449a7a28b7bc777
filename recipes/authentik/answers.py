"""Starts the Go server alone and asks it: alive at once, not ready without its backend, and gone when told to.

Argument: where to write the report.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request


def status(path):
    try:
        with urllib.request.urlopen("http://127.0.0.1:9000" + path, timeout=5) as r:
            return r.status
    except urllib.error.HTTPError as e:
        return e.code
    except OSError:
        return 0


server = subprocess.Popen(["/bin/authentik"], cwd="/", env=os.environ | {
    "AUTHENTIK_LISTEN__HTTP": "127.0.0.1:9000", "AUTHENTIK_LISTEN__HTTPS": "127.0.0.1:9443", "AUTHENTIK_LISTEN__METRICS": "127.0.0.1:9300"})
try:
    end = time.monotonic() + 60
    while (live := status("/-/health/live/")) not in (200, 204):
        if server.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"answers: the server is not alive: /-/health/live/ gives {live}, exit code {server.returncode}")
        time.sleep(0.1)
    if (ready := status("/-/health/ready/")) in (200, 204):
        raise SystemExit(f"answers: the server says that it is ready ({ready}) without a backend")
    server.terminate()
    server.wait(60)
finally:
    if server.poll() is None:
        server.kill()
with open(sys.argv[1], "w", encoding="utf-8") as f:
    f.write("alive at once, not ready without a backend, ended when told to\n")
