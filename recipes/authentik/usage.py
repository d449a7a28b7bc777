"""Uses a running application as a person would, over HTTP. Drivers of checks share it.

What the schema offers decides how: the log-in is an operation of its own where there is one, else the steps of the
default authentication flow. `processes` are those that must not end meanwhile.
"""

import http.cookiejar
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

BASE = "http://127.0.0.1:9000"
PASSWORD, TOKEN = "first-password", "first-token-of-the-bootstrap-user"
WAIT = 240
# What server and worker are told, beside what the recipe or the image says.
ENV = {
    "AUTHENTIK_BOOTSTRAP_EMAIL": "root@localhost.example",
    "AUTHENTIK_BOOTSTRAP_PASSWORD": PASSWORD,
    "AUTHENTIK_BOOTSTRAP_TOKEN": TOKEN,
    "AUTHENTIK_DISABLE_STARTUP_ANALYTICS": "true",
    "AUTHENTIK_DISABLE_UPDATE_CHECK": "true",
    "AUTHENTIK_ERROR_REPORTING__ENABLED": "false",
    "AUTHENTIK_POSTGRESQL__HOST": "127.0.0.1",
    "AUTHENTIK_POSTGRESQL__NAME": "authentik",
    "AUTHENTIK_POSTGRESQL__PASSWORD": "unused",
    "AUTHENTIK_POSTGRESQL__USER": "authentik",
    "AUTHENTIK_SECRET_KEY": "only for this check, in which nothing is secret",
}
# Server and worker share a network: the worker listens elsewhere.
WORKER = ENV | {"AUTHENTIK_LISTEN__HTTP": "127.0.0.1:9001", "AUTHENTIK_LISTEN__HTTPS": "127.0.0.1:9444", "AUTHENTIK_LISTEN__METRICS": "127.0.0.1:9301"}
# A new cluster, trusting everybody in this sandbox, with the application's database.
POSTGRES = """
cd "$(echo /usr/lib/postgresql/*/bin)"
./initdb -D DATA -U authentik --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync > /tmp/initdb.log || { cat /tmp/initdb.log; exit 1; }
echo "create database authentik" | ./postgres --single -D DATA postgres > /tmp/initdb.log
exec ./postgres -D DATA -c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories=/tmp -c max_connections=300
"""
name = os.path.basename(sys.argv[0]).removesuffix(".py")
processes = {}
report = []


def say(text):
    print(text, flush=True)
    report.append(text)


def fail(text):
    raise SystemExit(f"{name}: {text}")


def until(what, test, wait=WAIT):
    end = time.monotonic() + wait
    while not (answer := test()):
        if time.monotonic() > end:
            fail(f"{what}: not after {wait} s")
        for title, process in processes.items():
            if process.poll() is not None:
                fail(f"{what}: {title} ended with code {process.returncode}")
        time.sleep(0.25)
    return answer


def database(start, data="/tmp/database"):
    """PostgreSQL, ready. `start` runs a command and gives its process."""
    processes["postgres"] = start(["bash", "-ec", POSTGRES.replace("DATA", data)])

    def answers():
        try:
            socket.create_connection(("127.0.0.1", 5432), 5).close()
            return True
        except OSError:
            return False

    until("PostgreSQL answers", answers)


def end(*titles, grace=60):
    """Tell processes to end, all at once, and wait until they have."""
    asked = {title: processes.pop(title) for title in titles}
    began = time.monotonic()
    for title, process in asked.items():
        process.send_signal(2 if title == "postgres" else 15)
    for title, process in asked.items():
        try:
            code = process.wait(max(1, began + grace - time.monotonic()))
        except subprocess.TimeoutExpired:
            processes[title] = process
            fail(f"{title} did not end within {grace} s of a SIGTERM")
        print(f"{title} ended with code {code} after {time.monotonic() - began:.1f} s", flush=True)
        if code not in (0, -15, 143, -2):
            fail(f"{title} ended with code {code}")


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


def schema():
    """The description of the API that the clients were generated from"""
    with open("/schema.yml", encoding="utf-8") as f:
        return f.read()


def ready():
    return Client().request("GET", "/-/health/ready/")[0] in (200, 204)


def starting_then_ready():
    seen = set()

    def well():
        seen.add(Client().request("GET", "/-/health/ready/")[0])
        return seen & {200, 204}

    until("health is ready", well)
    if 503 not in seen:
        fail(f"health was never 503 before it was ready, but {sorted(seen)}")
    say("health went from starting to ready")


def log_in():
    """As the bootstrap user, whom the worker makes: until it has, nobody can log in"""
    client = Client()
    if "  /core/login/:" in schema():
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
    files = sorted(set(re.findall(r'(?:src|href)="(/static/[^"?]+)', html)))
    if status != 200 or not files:
        fail(f"the log-in page: {status}: {html[:500]}")
    for f in files:
        if (got := client.request("GET", f)[0]) != 200:
            fail(f"the log-in page names {f}, which gives {got}")
    say(f"the log-in page is there with the {len(files)} files that it names")


def administrator():
    """A client with the token of the bootstrap user, as soon as there is one"""
    api = Client(token=TOKEN)
    until("the bootstrap token", lambda: api.request("GET", "/api/v3/core/users/me/")[0] == 200)
    return api


def create(api, slug="checked"):
    api.api("POST", "/core/applications/", {"name": slug.title(), "slug": slug}, expect=(201,))
    listed(api, slug)
    say(f"created and listed the application {slug} through the API")


def listed(api, slug="checked"):
    found = [a["slug"] for a in api.api("GET", f"/core/applications/?search={slug}")["results"]]
    if found != [slug]:
        fail(f"the application {slug} that was created is not listed, but {found}")


def task(api):
    """The worker does what it is told"""
    if "  /core/applications/{slug}/check/:" in schema():
        uuid = api.api("POST", "/core/applications/checked/check/", {}, expect=(200, 202))["uuid"]
        done = until("the worker's task", lambda: (t := api.api("GET", f"/events/tasks/{uuid}/"))["state"] in ("done", "error") and t)
        if done["state"] != "done":
            fail(f"the worker's task ended as {done}")
    else:
        until("a task of the worker", lambda: api.api("GET", "/tasks/tasks/?state=done")["results"])
    say("the worker did a task")


def drive(main):
    """Run a driver; what it said goes to the file that its first argument names. Where it fails, the reason comes last."""
    try:
        main()
    finally:
        for p in processes.values():
            p.kill()
        for p in processes.values():
            p.wait(10)
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("\n".join(report) + "\n")
