"""Starts processes in the further roots of an action, each as an OCI runtime starts a container.

The action's own command, a driver, asks for every process over a connection of its own to a control socket, in lines of
JSON. A process has the interface of subprocess.Popen, as far as drivers use it.
"""

import json
import os
import socket
import subprocess
import threading

# Every process that is asked for gets a process namespace of its own. What is run in a container has to see the container's
# processes, so a child of its first process, which then becomes the entry point, waits for such commands.
ATTENDANT = """
import json, os, socket, subprocess, sys  # hewn-attendant
door = socket.socket(socket.AF_UNIX)
door.bind("\\0hewn-attendant-" + sys.argv[1])
door.listen()
if first := os.fork():
    door.close()
    os.execvp(sys.argv[2], sys.argv[2:])
first = os.getppid()
door.settimeout(1)
while os.getppid() == first:
    try:
        visitor, _ = door.accept()
    except TimeoutError:
        continue
    visitor.settimeout(None)
    with visitor, visitor.makefile("rw") as lines:
        asked = json.loads(lines.readline())
        try:
            done = subprocess.run(asked["args"], env=asked["env"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=asked["timeout"])
            answer = {"exit": done.returncode, "output": done.stdout.decode(errors="replace")}
        except (OSError, subprocess.TimeoutExpired) as e:
            answer = {"exit": 127, "output": str(e)}
        lines.write(json.dumps(answer) + "\\n")
"""
SOCKET = os.environ.get("HEWN_CONTROL", "/run/hewn/control.sock")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Process:
    """A process in a root. `env` is all that it gets."""

    def __init__(self, root, args, env, cwd="/", uid=1000, gid=1000):
        self.root, self.args, self.returncode, self.output = root, args, None, ""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(SOCKET)
        self._lines = self._socket.makefile("r", encoding="utf-8", errors="replace")
        self._ended = threading.Event()
        self._tell({"root": root, "args": list(args), "env": env, "dir": cwd, "uid": uid, "gid": gid})
        answer = json.loads(self._lines.readline() or '{"error": "the control socket was closed"}')
        if "error" in answer:
            raise OSError(f"{root}: {args[0]}: {answer['error']}")
        threading.Thread(target=self._wait, daemon=True).start()

    def _tell(self, message):
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def _wait(self):
        code = -1
        try:
            answer = json.loads(self._lines.readline() or "{}")
            code, self.output = answer.get("exit", -1), answer.get("output", "")
        except (OSError, ValueError) as e:
            self.output = str(e)
        finally:
            self.returncode = code
            self._ended.set()
            self._socket.close()

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number):
        if not self._ended.is_set():
            try:
                self._tell({"signal": number})
            except OSError:
                pass  # it has just ended

    def terminate(self):
        self.send_signal(15)

    def kill(self):
        self.send_signal(9)


def run(root, args, env=None, timeout=120, **more):
    """Run to the end: exit code and output."""
    process = Process(root, args, env or {"PATH": PATH}, **more)
    return process.wait(timeout), process.output


class Image:
    """An unpacked image, `root/` and `config.json`, and what its configuration says of its containers."""

    def __init__(self, at="/image"):
        self.files = at + "/root"
        with open(at + "/config.json", encoding="utf-8") as f:
            self.config = json.load(f)["config"]

    def _accounts(self, name):
        with open(f"{self.files}/etc/{name}", encoding="utf-8") as f:
            return [line.rstrip("\n").split(":") for line in f if line.strip()]

    def user(self):
        """User and group ids and the home of the configured `user`, `user:group`, `uid` or `uid:gid`."""
        user, _, group = (self.config.get("User") or "0").partition(":")
        known = [a for a in self._accounts("passwd") if user in (a[0], a[2])]
        if not known and not user.isdigit():
            raise OSError(f"the image's user {user} does not stand in its /etc/passwd")
        uid, gid, home = (int(known[0][2]), int(known[0][3]), known[0][5]) if known else (int(user), 0, "/")
        if group:
            ids = [int(g[2]) for g in self._accounts("group") if g[0] == group] or [int(group)]
            gid = ids[0]
        return uid, gid, home

    def environment(self, env):
        """What a process of a container sees: the image's variables, those of the one who starts it, HOME and PATH."""
        own = dict(entry.split("=", 1) for entry in self.config.get("Env") or [])
        return {"HOME": self.user()[2], "PATH": PATH} | own | (env or {})

    def start(self, root, args=None, env=None):
        """A container: the entry point with the arguments, or with the image's own, as the image's user."""
        own = self.config.get("Cmd") or [] if args is None else args
        entry = (self.config.get("Entrypoint") or []) + list(own)
        return self._process(root, ["python", "-c", ATTENDANT, root] + entry, env)

    def _process(self, root, args, env):
        uid, gid, _ = self.user()
        return Process(root, args, self.environment(env), cwd=self.config.get("WorkingDir") or "/", uid=uid, gid=gid)

    def execute(self, root, args, env=None, timeout=60):
        """Exit code and output of a command in the container of that root, or without one if none runs."""
        door = socket.socket(socket.AF_UNIX)
        try:
            door.connect("\0hewn-attendant-" + root)
        except OSError:
            process = self._process(root, args, env)
            return process.wait(timeout), process.output
        with door, door.makefile("rw") as lines:
            lines.write(json.dumps({"args": args, "env": self.environment(env), "timeout": timeout}) + "\n")
            lines.flush()
            answer = json.loads(lines.readline() or '{"exit": 137, "output": "the container has ended"}')
            return answer["exit"], answer["output"]

    def health(self, root, env=None):
        """Exit code and output of the image's health check."""
        kind, *command = self.config["Healthcheck"]["Test"]
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c"] + command
        return self.execute(root, command, env)
