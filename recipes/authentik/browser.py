"""Opens the web interface of the booted image in Chromium, as a person would, and keeps what it looked like.

Arguments: a directory for the report, a screenshot of each stage and the browser's console. The browser is driven over
W3C WebDriver. Elements are looked for in every shadow root, and typed into and clicked, not set by script. What is looked
for holds for authentik's own flow executor and for the miniature's form.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request

import contain
import containers
import usage

DRIVER = "http://127.0.0.1:9515"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-default-apps",
         "--disable-breakpad", "--lang=en-US", "--user-data-dir=/tmp/profile", "--window-size=1280,900", "--force-device-scale-factor=1"]
# All elements that a person can see, those of shadow roots too.
SEEN = """
const seen = function* (root) {
  for (const e of root.querySelectorAll("*")) {
    yield e;
    if (e.shadowRoot) yield* seen(e.shadowRoot);
  }
};
const visible = (e) => {
  const box = e.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && e.checkVisibility({opacityProperty: true, visibilityProperty: true});
};
"""
FIND = SEEN + "for (const e of seen(document)) if (e.matches(arguments[0]) && visible(e)) return e; return null;"
TEXT = SEEN + """
for (const e of seen(document))
  for (const n of e.childNodes)
    if (n.nodeType === Node.TEXT_NODE && n.data.includes(arguments[0]) && visible(e)) return true;
return false;
"""
USERNAME = 'input[name="uidField"], input[name="uid_field"], input[name="username"]'
SECRET = 'input[name="password"]'
SUBMIT = 'button[type="submit"], form button:not([type])'
# What changes while a page is loading: elements, their text, and what was fetched for them.
STATE = SEEN + """
let elements = 0, text = "";
for (const e of seen(document)) {
  elements++;
  for (const n of e.childNodes) if (n.nodeType === Node.TEXT_NODE && visible(e)) text += n.data.trim();
}
return [document.readyState, elements, text, performance.getEntriesByType("resource").length].join("|");
"""


class Browser:
    def __init__(self, out):
        self.out, self.shots = out, 0
        self.console = []
        options = {"binary": "/usr/lib/chromium/chromium", "args": FLAGS}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = "/session/" + answer["sessionId"]
        print(f"{answer['capabilities']['browserName']} {answer['capabilities']['browserVersion']}", flush=True)

    def do(self, method, path, body=None):
        return ask(method, self.session + path, body)

    def open(self, path):
        self.do("POST", "/url", {"url": usage.BASE + path})

    def path(self):
        return self.do("GET", "/url").removeprefix(usage.BASE)

    def script(self, text, *args):
        return self.do("POST", "/execute/sync", {"script": text, "args": args})

    def find(self, selector):
        element = self.script(FIND, selector)
        return element and "/element/" + next(iter(element.values()))

    def shows(self, text):
        return self.script(TEXT, text)

    def type(self, element, text):
        self.do("POST", element + "/clear", {})
        self.do("POST", element + "/value", {"text": text})

    def settle(self, wait=20):
        """Until nothing on the page has changed for a second, or the page is one that never rests"""
        last, since, end = None, time.monotonic(), time.monotonic() + wait
        while time.monotonic() - since < 1 and time.monotonic() < end:
            if (now := self.script(STATE)) != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)

    def shot(self, title):
        self.shots += 1
        with open(f"{self.out}/{self.shots}-{title}.png", "wb") as f:
            f.write(base64.b64decode(self.do("GET", "/screenshot")))

    def read_console(self):
        said = self.do("POST", "/se/log", {"type": "browser"})
        self.console += [m for m in said if not m["message"].startswith("chrome")]  # its own first page

    def close(self):
        self.read_console()
        with open(self.out + "/console.txt", "w", encoding="utf-8") as f:
            f.writelines(f"{m['level']} {m['source']} {m['message']}\n" for m in self.console)
        self.do("DELETE", "")


def ask(method, path, body=None):
    data = None if method in ("GET", "DELETE") else json.dumps(body or {}).encode()
    request = urllib.request.Request(DRIVER + path, data, {"Content-Type": "application/json; charset=utf-8"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as r:
            return json.load(r)["value"]
    except urllib.error.HTTPError as e:
        error = json.load(e)["value"]
        raise WebDriverError(f"{method} {path}: {error['error']}: {error['message'][:1000]}") from None


class WebDriverError(Exception):
    pass


def patiently(what, test, wait=60):
    """As usage.until; but an element may go away between finding and using it, for the page is alive."""
    last = ""

    def once():
        nonlocal last
        try:
            return test()
        except WebDriverError as e:
            last = str(e)
            return None

    try:
        return usage.until(what, once, wait)
    except SystemExit as e:
        raise SystemExit(f"{e} {last}") from None


def driver_ready():
    try:
        return ask("GET", "/status")["ready"]
    except OSError:
        return False


def log_in(browser):
    """Through however many stages the form has, until it is gone"""
    answered = set()

    def step():
        if browser.path().startswith(("/if/admin/", "/if/user/")) and not browser.find(SECRET):
            return True
        filled = False
        for selector, text in ((USERNAME, "akadmin"), (SECRET, usage.PASSWORD)):
            field = browser.find(selector)
            if field and field not in answered:
                browser.type(field, text)
                answered.add(field)
                filled = True
        if filled:
            if len(answered) == 2 or not browser.find(SECRET):
                browser.shot("form-filled-in")
            browser.do("POST", patiently("a button that submits", lambda: browser.find(SUBMIT)) + "/click")
        return False

    patiently("the log-in through the form", step, 120)
    usage.say("logged in through the form")


def visit(browser):
    browser.open("/if/admin/")
    patiently("the log-in form", lambda: browser.find(USERNAME))
    browser.settle()
    browser.shot("log-in")
    usage.say("whom nobody knows is shown the log-in form")
    log_in(browser)
    browser.open("/if/admin/")
    patiently("the admin interface", lambda: browser.find("ak-interface-admin") and browser.shows("Applications"))
    browser.settle()
    browser.shot("admin")
    usage.say("the admin interface is there")
    browser.open("/if/admin/#/core/applications")
    patiently("the application in the list", lambda: browser.shows("Checked"))
    browser.settle()
    browser.shot("applications")
    usage.say("it lists the application that was created through the API")


def main():
    out = os.path.dirname(sys.argv[1])
    image = contain.Image()
    containers.database()
    began = containers.start(image)
    containers.well(image, began)
    usage.create(usage.administrator())
    env = {"PATH": contain.PATH, "HOME": "/tmp", "LANG": "C.UTF-8", "TMPDIR": "/tmp", "XDG_RUNTIME_DIR": "/tmp"}
    usage.processes["chromedriver"] = contain.Process("browser", ["chromedriver", "--port=9515", "--log-level=WARNING"], env, cwd="/tmp")
    usage.until("chromedriver is ready", driver_ready, 60)
    began = time.monotonic()
    browser = Browser(out)
    try:
        visit(browser)
    except BaseException:
        print(f"at {browser.path()}: {browser.script('return document.body.innerText')[:2000]!r}", flush=True)
        browser.shot("failed")
        raise
    finally:
        browser.close()
        for m in browser.console:
            print(f"console: {m['level']} {m['source']} {m['message']}", flush=True)
    print(f"the visit took {time.monotonic() - began:.1f} s", flush=True)
    if errors := [m["message"] for m in browser.console if m["level"] == "SEVERE"]:
        usage.fail(f"errors in the browser's console: {errors}")
    usage.say("nothing in the console is an error")
    usage.end("chromedriver", "server", "worker")
    usage.end("postgres")


usage.drive(main)
