"""Uses a running installation as a person would: `python -m tests.smoke URL PASSWORD`

Waits until it is ready, logs in as akadmin, looks at the page and the files that it names, creates an application, has the
worker check it, and deletes it. Needs nothing but Python.
"""

import json
import re
import sys
from http.cookiejar import CookieJar
from time import monotonic, sleep
from urllib.error import HTTPError, URLError
from urllib.request import HTTPCookieProcessor, Request, build_opener
from uuid import uuid4

WAIT_SECONDS = 120


class Client:
    """A browser, or nearly so"""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self.cookies = CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.cookies))

    def request(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and text"""
        headers = {"Accept": "*/*", "Content-Type": "application/json"}
        for cookie in self.cookies:
            if cookie.name == "authentik_csrf":
                headers["X-authentik-CSRF"] = cookie.value
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.base + path, data, headers, method=method)
        try:
            with self.opener.open(request, timeout=30) as response:
                return response.status, response.read().decode()
        except HTTPError as exc:
            return exc.code, exc.read().decode(errors="replace")

    def api(self, method: str, path: str, body: object = None, expect: int = 200):
        """An answer of the API"""
        status, text = self.request(method, f"/api/v3{path}", body)
        if status != expect:
            raise SystemExit(f"{method} {path}: {status} instead of {expect}: {text[:500]}")
        return json.loads(text) if text else None

    def wait_ready(self) -> None:
        """Until the server says so"""
        deadline = monotonic() + WAIT_SECONDS
        status: object = None
        while monotonic() < deadline:
            try:
                status, _ = self.request("GET", "/-/health/ready/")
            except (URLError, OSError) as exc:
                status = exc
            if status in (200, 204):
                return
            sleep(0.5)
        raise SystemExit(f"Not ready after {WAIT_SECONDS} seconds: {status}")

    def wait_login(self, password: str) -> None:
        """The worker makes the first user: until it has, nobody can log in."""
        credentials = {"username": "akadmin", "password": password}
        deadline = monotonic() + WAIT_SECONDS
        while True:
            status, text = self.request("POST", "/api/v3/core/login/", credentials)
            if status == 200:
                return
            if status != 401 or monotonic() > deadline:
                raise SystemExit(f"Log-in: {status}: {text[:500]}")
            sleep(0.5)


def assets(client: Client) -> list[str]:
    """The files that the log-in page names; each has to be there"""
    status, page = client.request("GET", "/if/flow/default-authentication-flow/")
    found = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    if status != 200 or not any("FlowInterface-" in path for path in found):
        raise SystemExit(f"Log-in page: {status}: {page[:500]}")
    for path in found:
        if (status := client.request("GET", path)[0]) != 200:
            raise SystemExit(f"{path}: {status}")
    return found


def main(base: str, password: str, *options: str) -> None:
    """Step by step"""
    client = Client(base)
    client.wait_ready()
    config = client.api("GET", "/root/config/")
    print(f"{config['brand_title']} {config['version']} is ready")
    if "--no-assets" not in options:
        print(f"log-in page: {len(assets(client))} files")
    client.wait_login(password)
    print("logged in as", client.api("GET", "/core/users/me/")["user"]["username"])

    slug = f"smoke-{uuid4().hex[:8]}"
    client.api("POST", "/core/applications/", {"name": "Smoke", "slug": slug}, expect=201)
    listed = client.api("GET", f"/core/applications/?search={slug}")["results"]
    if [application["slug"] for application in listed] != [slug]:
        raise SystemExit(f"The application is not listed: {listed}")
    print("created", slug)

    task = client.api("POST", f"/core/applications/{slug}/check/", {}, expect=202)
    deadline = monotonic() + WAIT_SECONDS
    while task["state"] not in ("done", "error") and monotonic() < deadline:
        sleep(0.2)
        task = client.api("GET", f"/events/tasks/{task['uuid']}/")
    if task["state"] != "done":
        raise SystemExit(f"The worker did not do the task: {task}")
    print("worker:", "; ".join(line["event"] for line in task["logs"]))

    client.api("DELETE", f"/core/applications/{slug}/", expect=204)
    client.api("POST", "/core/logout/", {}, expect=204)
    client.api("GET", "/core/users/me/", expect=401)
    print("logged out")


if __name__ == "__main__":
    main(*sys.argv[1:])
