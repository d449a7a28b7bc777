"""Imports every top-level module of every installed package: imports.py OUT [SKIP...]. Each in a process of its own."""
import concurrent.futures
import csv
import importlib.machinery
import importlib.metadata
import os
import subprocess
import sys

out, *skip = sys.argv[1:]
skip = set(skip)
# Modules that only another module may import.
first = {"psycopg_binary": "psycopg", "psycopg_c": "psycopg"}
suffixes = sorted(importlib.machinery.all_suffixes(), key=len, reverse=True)


def module(path):
    """The top-level module that a file belongs to, or None."""
    head, slash, rest = path.partition("/")
    if slash:
        inner = any(rest.endswith(s) for s in suffixes)
        return head if inner and head.isidentifier() and head != "__pycache__" else None
    for suffix in suffixes:
        if head.endswith(suffix):
            name = head[: -len(suffix)]
            return name if name.isidentifier() else None
    return None


def top_levels(distribution):
    record = distribution.read_text("RECORD") or ""
    found = {module(row[0]) for row in csv.reader(record.splitlines()) if row}
    for row in csv.reader(record.splitlines()):
        # An editable package has only a path to its source: the packages there are its modules.
        if row and row[0].endswith(".pth") and "/" not in row[0]:
            for line in (distribution.locate_file(row[0])).read_text().splitlines():
                if line.startswith("/") and os.path.isdir(line):
                    found |= {n for n in os.listdir(line) if os.path.isfile(os.path.join(line, n, "__init__.py"))}
    return sorted(found - {None})


def attempt(top):
    code = "".join(f"import {name}\n" for name in (first.get(top), top) if name)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, errors="replace")
    if run.returncode == 0:
        return None
    return (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]


wanted = []
for distribution in sorted(importlib.metadata.distributions(), key=lambda d: d.metadata["Name"].lower()):
    wanted += [(distribution.metadata["Name"], top) for top in top_levels(distribution)]
with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    results = pool.map(lambda w: "" if skip & set(w) else attempt(w[1]), wanted)
report, failed = [], []
for (name, top), error in zip(wanted, results):
    report.append(f"{name} {top} {'skipped' if error == '' else 'failed' if error else 'ok'}")
    if error:
        failed.append(f"{name}: import {top}: {error}")
print("\n".join(report))
if failed:
    sys.exit("\n".join(f"hewn: {line}" for line in failed))
os.makedirs(os.path.dirname(out), exist_ok=True)
with open(out, "w") as f:
    f.write("\n".join(report) + "\n")
