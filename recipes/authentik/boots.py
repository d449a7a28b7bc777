"""Boots the assembled application beside a PostgreSQL of its own and uses it as a person would.

Arguments: where to write the report. It waits for health to go from starting to ready, logs in over HTTP, creates and
lists an application through the API and has the worker do a task. What the schema offers decides how: the log-in is an
operation of its own where there is one, else the steps of the default authentication flow.
"""

import glob
import http.cookiejar
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

BASE = "http://127.0.0.1:9000"
PASSWORD, TOKEN = "first-password", "first-token-of-the-bootstrap-user"
WAIT = 240
DATA = "/tmp/database"
ENV = os.environ | {
    "AUTHENTIK_BOOTSTRAP_EMAIL": "root@localhost.example",
    "AUTHENTIK_BOOTSTRAP_PASSWORD": PASSWORD,
    "AUTHENTIK_BOOTSTRAP_TOKEN": TOKEN,
    "AUTHENTIK_POSTGRESQL__HOST": "127.0.0.1",
    "AUTHENTIK_POSTGRESQL__NAME": "authentik",
    "AUTHENTIK_POSTGRESQL__PASSWORD": "unused",
    "AUTHENTIK_POSTGRESQL__USER": "authentik",
    "AUTHENTIK_SECRET_KEY": "only for this check, in which nothing is secret",
}
report = []


def say(text):
    print(text, flush=True)
    report.append(text)


def fail(text):
    raise SystemExit("boots: " + text)


def postgres():
    """A new database cluster, trusting everybody in this sandbox"""
    tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    run = lambda *cmd: subprocess.run(cmd, check=True, stdout=subprocess.DEVNULL)
    run(tools + "/initdb", "-D", DATA, "-U", "authentik", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
    server = subprocess.Popen([tools + "/postgres", "-D", DATA, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                               "-c", "unix_socket_directories=/tmp", "-c", "max_connections=300"])
    until("PostgreSQL answers", lambda: subprocess.run([tools + "/pg_isready", "-q", "-h", "127.0.0.1"]).returncode == 0)
    run(tools + "/createdb", "-h", "127.0.0.1", "-U", "authentik", "authentik")
    return server


def until(what, test, wait=WAIT):
    end = time.monotonic() + wait
    while not (answer := test()):
        if time.monotonic() > end:
            fail(f"{what}: not after {wait} s")
        for name, process in processes.items():
            if process.poll() is not None:
                fail(f"{what}: {name} ended with code {process.returncode}")
        time.sleep(0.25)
    return answer


class Client:
    def __init__(self, token=None):
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.token = token

    def request(self, method, path, body=None):
        headers = {"Accept": "application/json, text/html", "Content-Type": "application/json", "Referer": BASE + "/"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        for c in self.cookies:
            if c.name == "authentik_csrf":
                headers["X-authentik-CSRF"] = c.value
        data = None if body is None else json.dumps(body).encode()
        try:
            with self.opener.open(urllib.request.Request(BASE + path, data, headers, method=method), timeout=60) as r:
                return r.status, r.read().decode(errors="replace")
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(errors="replace")
        except OSError as e:
            return 0, str(e)

    def api(self, method, path, body=None, expect=(200,)):
        status, text = self.request(method, "/api/v3" + path, body)
        if status not in expect:
            fail(f"{method} {path}: {status}: {text[:1000]}")
        return json.loads(text) if text else None


def health():
    return Client().request("GET", "/-/health/ready/")[0]


def starting_then_ready():
    seen = set()

    def ready():
        status = health()
        seen.add(status)
        return status in (200, 204)

    until("health is ready", ready)
    if 503 not in seen:
        fail(f"health was never 503 before it was ready, but {sorted(seen)}")
    say("health went from starting to ready")


def log_in(schema):
    """As the bootstrap user, whom the worker makes: until it has, nobody can log in"""
    client = Client()
    if "  /core/login/:" in schema:
        until("log-in", lambda: client.request("POST", "/api/v3/core/login/", {"username": "akadmin", "password": PASSWORD})[0] == 200)
    else:
        until("log-in", lambda: by_flow(client))
    me = client.api("GET", "/core/users/me/")["user"]["username"]
    if me != "akadmin":
        fail(f"logged in as {me}")
    wrong = Client(token="not the token").request("GET", "/api/v3/core/users/me/")[0]
    if wrong not in (401, 403):
        fail(f"a wrong token gives {wrong}")
    say("logged in over HTTP as akadmin; a wrong token is refused")


def by_flow(client):
    """The default authentication flow, stage by stage, until it redirects"""
    path = "/api/v3/flows/executor/default-authentication-flow/?query="
    answers = {"ak-stage-identification": {"uid_field": "akadmin", "password": PASSWORD}, "ak-stage-password": {"password": PASSWORD}}
    status, text = client.request("GET", path)
    for _ in range(5):
        if status != 200:
            return False
        stage = json.loads(text).get("component")
        if stage == "xak-flow-redirect":
            return True
        if stage not in answers:
            return False
        status, text = client.request("POST", path, {"component": stage} | answers[stage])
    return False


def page():
    """The log-in page, and every file that it names"""
    client = Client()
    status, html = client.request("GET", "/if/flow/default-authentication-flow/")
    import re
    files = sorted(set(re.findall(r'(?:src|href)="(/static/[^"?]+)', html)))
    if status != 200 or not files:
        fail(f"the log-in page: {status}: {html[:500]}")
    for f in files:
        if (got := client.request("GET", f)[0]) != 200:
            fail(f"the log-in page names {f}, which gives {got}")
    say(f"the log-in page is there with the {len(files)} files that it names")


def objects():
    api = Client(token=TOKEN)
    until("the bootstrap token", lambda: api.request("GET", "/api/v3/core/users/me/")[0] == 200)
    api.api("POST", "/core/applications/", {"name": "Checked", "slug": "checked"}, expect=(201,))
    listed = [a["slug"] for a in api.api("GET", "/core/applications/?search=checked")["results"]]
    if listed != ["checked"]:
        fail(f"the application that was created is not listed, but {listed}")
    say("created and listed an application through the API")
    return api


def task(api, schema):
    """The worker does what it is told"""
    if "  /core/applications/{slug}/check/:" in schema:
        uuid = api.api("POST", "/core/applications/checked/check/", {}, expect=(200, 202))["uuid"]
        done = until("the worker's task", lambda: (t := api.api("GET", f"/events/tasks/{uuid}/"))["state"] in ("done", "error") and t)
        if done["state"] != "done":
            fail(f"the worker's task ended as {done}")
    else:
        until("a task of the worker", lambda: [t for t in api.api("GET", "/tasks/tasks/?state=done")["results"]])
    say("the worker did a task")


processes = {}


def main(out):
    processes["postgres"] = postgres()
    processes["server"] = subprocess.Popen(["ak", "server"], env=ENV, cwd="/")
    processes["worker"] = subprocess.Popen(["ak", "worker"], env=ENV | {"AUTHENTIK_LISTEN__HTTP": "127.0.0.1:9001",
                                           "AUTHENTIK_LISTEN__METRICS": "127.0.0.1:9301", "TMPDIR": "/tmp/worker"}, cwd="/")
    with open("/schema.yml", encoding="utf-8") as f:
        schema = f.read()
    starting_then_ready()
    page()
    log_in(schema)
    task(objects(), schema)
    for name in ("worker", "server", "postgres"):
        process = processes.pop(name)
        process.send_signal(2 if name == "postgres" else 15)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            fail(f"{name} did not end within 60 s of a SIGTERM")
        if code not in (0, -15, 143, -2):
            fail(f"{name} ended with code {code}")
    say("everything ended when it was asked to")
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(report) + "\n")


os.makedirs("/tmp/worker", exist_ok=True)
try:
    main(sys.argv[1])
finally:
    for p in processes.values():
        if p.poll() is None:
            p.kill()
