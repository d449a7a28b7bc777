"""Boots the image as an OCI runtime would, beside a PostgreSQL, and uses it as a person would.

Arguments: where to write the report, and how much to do: `all` or `short`. Server and worker are a container each: the
image's entry point with one argument, as its user, on a root that cannot be written to, with volumes of their own.
"""

import json
import sys
import time

import contain
import usage

GRACE = 30  # what Kubernetes gives a container between SIGTERM and SIGKILL
# Run in a container: who runs what in it, what lies in its volumes, and whether its root can be written to.
LOOK = r"""
import errno, glob, json, os
seen = []
for p in glob.glob("/proc/[0-9]*"):
    try:
        line = open(p + "/cmdline").read().replace("\0", " ").strip()
        ids = [l.split()[1:] for l in open(p + "/status") if l.startswith(("Uid:", "Gid:"))]
    except OSError:
        continue
    seen.append((line, sorted({int(n) for l in ids for n in l})))
refused = {}
for p in ("/", "/authentik", "/blueprints", "/etc", "/lifecycle", "/usr/bin", "/web"):
    if p != "/" and os.path.ismount(p):
        continue
    try:
        open(p + "/written", "w").close()
        refused[p] = ""
    except OSError as e:
        refused[p] = errno.errorcode[e.errno]
volumes = {v: sorted(os.path.join(d, f) for d, _, fs in os.walk(v) for f in fs) for v in ("/certs", "/data", "/media")}
print(json.dumps({"uid": os.getuid(), "gid": os.getgid(), "seen": seen, "refused": refused, "volumes": volumes}))
"""


def database():
    usage.database(lambda args: contain.Process("postgresql", args, {"PATH": contain.PATH}))


def start(image, prefix=""):
    """Server and worker, and the seconds until both are well by the image's own health check"""
    began = time.monotonic()
    usage.processes["server"] = image.start(prefix + "server", ["server"], usage.ENV)
    usage.processes["worker"] = image.start(prefix + "worker", ["worker"], usage.WORKER)
    return began


def well(image, began, prefix=""):
    usage.until("the server is ready", usage.ready)
    for part, env in (("server", usage.ENV), ("worker", usage.WORKER)):
        last = None

        def content():
            nonlocal last
            last = image.health(prefix + part, env)
            return last[0] == 0

        try:
            usage.until(f"the image's health check of the {part}", content)
        except SystemExit as e:
            raise SystemExit(f"{e}; it says: {last}") from None
    print(f"ready and well after {time.monotonic() - began:.1f} s", flush=True)


def look(image):
    uid, gid, _ = image.user()
    for part, words in (("server", ["authentik", "gunicorn"]), ("worker", ["worker"])):
        code, output = image.execute(part, ["python", "-c", LOOK])
        if code != 0:
            usage.fail(f"looking around in the {part}: {output}")
        found = json.loads(output.splitlines()[-1])
        if (found["uid"], found["gid"]) != (uid, gid):
            usage.fail(f"the {part} runs as {found['uid']}:{found['gid']}, and not as the image's user, {uid}:{gid}")
        ours = [(line, ids) for line, ids in found["seen"] if "hewn-attendant" not in line and not line.startswith(("hewn-sandbox", "python -c \nimport errno"))]
        for word in words:
            those = [(line, ids) for line, ids in ours if word in line]
            if not those:
                usage.fail(f"no process of the {part} has {word} in its command line: {ours}")
            if wrong := [t for t in those if t[1] != sorted({uid, gid})]:
                usage.fail(f"processes of the {part} that do not run as {uid}:{gid}: {wrong}")
        if wrong := {p: e for p, e in found["refused"].items() if e != "EROFS"}:
            usage.fail(f"the root of the {part} can be written to, or says something else than that it is read-only: {wrong}")
        print(f"in the container of the {part}: processes {[line for line, _ in ours]}")
        print(f"in the container of the {part}: files in its volumes {found['volumes']}", flush=True)
    usage.say(f"server and worker run as {uid}:{gid}, on roots that are read-only")


def main():
    image, everything = contain.Image(), sys.argv[2] == "all"
    code, output = image.health("server", usage.ENV)
    if code == 0:
        usage.fail(f"the image's health check is content before anything runs: {output}")
    database()
    began = start(image)
    usage.starting_then_ready()
    well(image, began)
    usage.say("the image's own health check fails before the start, and is content with server and worker")
    usage.page()
    usage.log_in()
    api = usage.administrator()
    usage.create(api)
    usage.task(api)
    look(image)
    usage.end("server", "worker", grace=GRACE)
    usage.say(f"server and worker ended within {GRACE} s of a SIGTERM, and cleanly")
    if everything:
        well(image, start(image))
        usage.listed(api)
        usage.log_in()
        usage.say("what was created is there after a restart")
        usage.end("server", "worker", grace=GRACE)
    usage.end("postgres")


if __name__ == "__main__":
    usage.drive(main)
