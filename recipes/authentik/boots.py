"""Boots the assembled application beside a PostgreSQL of its own, in one root, and uses it as a person would.

Arguments: where to write the report. It waits for health to go from starting to ready, logs in over HTTP, creates and
lists an application through the API and has the worker do a task.
"""

import os
import subprocess

import usage


def main():
    usage.database(subprocess.Popen)
    os.makedirs("/tmp/worker", exist_ok=True)
    usage.processes["server"] = subprocess.Popen(["ak", "server"], env=os.environ | usage.ENV, cwd="/")
    usage.processes["worker"] = subprocess.Popen(["ak", "worker"], env=os.environ | usage.WORKER | {"TMPDIR": "/tmp/worker"}, cwd="/")
    usage.starting_then_ready()
    usage.page()
    usage.log_in()
    api = usage.administrator()
    usage.create(api)
    usage.task(api)
    usage.end("worker", "server")
    usage.end("postgres")
    usage.say("everything ended when it was asked to")


usage.drive(main)
