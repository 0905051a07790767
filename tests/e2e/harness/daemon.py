# SPDX-License-Identifier: MIT
"""sockqd started as systemd starts it, and sockqctl beside it."""
import atexit
import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from .config import render
from .notify import NotifySocket
from .varlink import Varlink
from .waiting import DEADLINE, eventually

ROOT = Path(__file__).resolve().parents[3]
BUILD = (ROOT / os.environ.get("SOCKQ_BUILD", "build")).resolve()
SOCKQD = BUILD / "daemon" / "sockqd"
SOCKQCTL = BUILD / "ctl" / "sockqctl"
PASS_SOCKETS = ROOT / "tools" / "pass-sockets"

_SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Sanitizer:DEADLYSIGNAL")
_FROM_SYSTEMD = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                 "JOURNAL_STREAM", "SOCKQ_CONTROL", "NO_COLOR")


@functools.cache
def is_sanitized():
    """Does the daemon under test come with a sanitizer?"""
    return bool(re.search(rb"__(asan|tsan)_init", SOCKQD.read_bytes()))


def environment(**changes):
    """Ours, without what systemd or a user's shell may have left in it; None takes a variable out."""
    result = {key: value for key, value in os.environ.items() if key not in _FROM_SYSTEMD}
    result.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    result.setdefault("TSAN_OPTIONS", "second_deadlock_stack=1")
    for key, value in changes.items():
        result.pop(key, None)
        if value is not None:
            result[key] = str(value)
    return result


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


@functools.cache
def public_copy(program):
    """A copy where every user may run it; the checkout may be in somebody's home."""
    folder = Path(tempfile.mkdtemp(prefix="sockq-bin-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    return Path(shutil.copy(program, folder))


def as_user(*identity):
    """The prefix that runs a public_copy() as nobody, in these groups: "--clear-groups" or "--groups=..."."""
    return ["setpriv", "--reuid=65534", "--regid=65534", *identity]


def run(program, *arguments, stdin="", prefix=(), **variables):
    """Runs a program to its end. `prefix`: a command to run it under."""
    program = public_copy(program) if prefix else program
    done = subprocess.run([*map(str, prefix), str(program), *map(str, arguments)], input=stdin, capture_output=True,
                          text=True, errors="replace", timeout=4 * DEADLINE, env=environment(**variables))
    assert not _SANITIZER.search(done.stderr), done.stderr
    assert done.returncode >= 0, f"{program} died of signal {-done.returncode}: {done.stderr}"
    return Result(done.returncode, done.stdout, done.stderr)


def sockqd(*arguments, **keywords):
    return run(SOCKQD, *arguments, **keywords)


def sockqctl(*arguments, **keywords):
    return run(SOCKQCTL, *arguments, **keywords)


class Daemon:
    """One configuration, one set of passed sockets, one control path; may be started several times."""

    def __init__(self, config, sockets=(), control_passed=False, watchdog_usec=None, prefix=(), journal=False,
                 variables=None, control_option=True):
        self.folder = Path(tempfile.mkdtemp(prefix="sockq-"))
        self.folder.chmod(0o755)
        self.config = self.folder / "sockqd.conf"
        self.control = str(self.folder / "control")
        self.write(config)
        self.sockets = list(sockets)  # (name, socket or fd)
        self.notify = NotifySocket(str(self.folder / "notify"))
        self.process = None
        self.exit_expected = 0
        self.lines = []
        self._lines_changed = threading.Condition()
        self._reader = None
        self._watchdog_usec = watchdog_usec
        self._prefix = [str(word) for word in prefix]
        self._journal = journal
        self._variables = variables or {}
        self._control_option = control_option
        self._control_socket = None
        if control_passed:
            self._control_socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._control_socket.bind(self.control)
            os.chmod(self.control, 0o666)
            self._control_socket.listen(64)
            self.sockets.append(("varlink", self._control_socket))

    # Life

    def write(self, config):
        """Replaces the configuration file: a dict for render(), or text."""
        if isinstance(config, dict):
            config = {"daemon": {"drain_timeout": "1s", **config.get("daemon", {})},
                      **{key: value for key, value in config.items() if key != "daemon"}}
            config = render(config)
        self.config.write_text(config)

    def drop_in(self, name, config):
        folder = self.config.with_name(self.config.name + ".d")
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(render(config) if isinstance(config, dict) else config)
        return folder / name

    def spawn(self):
        """Starts the process; does not wait until it serves."""
        passed = [(name, getattr(what, "fileno", lambda fd=what: fd)()) for name, what in self.sockets]
        passed += self.notify.store
        launcher, program = (map(public_copy, (PASS_SOCKETS, SOCKQD)) if self._prefix else (PASS_SOCKETS, SOCKQD))
        command = [*self._prefix, str(launcher), *(f"{name}={fd}" for name, fd in passed), "--", str(program),
                   "--config", str(self.config)]
        if self._control_option and not self._control_socket:
            command += ["--control", self.control]
        read_end, write_end = os.pipe()
        stderr = os.fstat(write_end)
        self.process = subprocess.Popen(
            command, pass_fds=[fd for _, fd in passed], stdin=subprocess.DEVNULL, stderr=write_end,
            env=environment(NOTIFY_SOCKET=self.notify.path,
                            WATCHDOG_USEC=self._watchdog_usec,
                            JOURNAL_STREAM=f"{stderr.st_dev}:{stderr.st_ino}" if self._journal else None,
                            **self._variables))
        os.close(write_end)
        self._reader = threading.Thread(target=self._read_lines, args=(read_end,), daemon=True)
        self._reader.start()
        return self

    def start(self):
        since = self.notify.mark()
        self.spawn()
        ready = self.notify.wait(lambda m: m.get("READY") == "1", "READY=1", since,
                                 alive=lambda: self.process.poll() is None)
        if not ready:
            self._reader.join()
            self.exit_expected = None
            raise AssertionError("sockqd did not start:\n" + "\n".join(self.lines[-40:]))
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, deadline=DEADLINE):
        status = self.process.wait(deadline)
        self._reader.join(deadline)
        return status

    def kill(self):
        """As a crash ends it."""
        self.signal(signal.SIGKILL)
        self.wait_exit()
        self.exit_expected = -signal.SIGKILL

    def stop(self):
        """SIGTERM; the exit status must be 0 and no sanitizer may have spoken."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.wait_exit()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.wait_exit()
                raise AssertionError("SIGTERM did not end sockqd:\n" + "\n".join(self.lines[-40:])) from None
        else:
            self._reader.join()
        status, self.process = self.process.returncode, None
        reports = [line for line in self.lines if _SANITIZER.search(line)]
        assert not reports, "\n".join(self.lines)
        if self.exit_expected is not None:
            assert status == self.exit_expected, f"exit status {status}:\n" + "\n".join(self.lines[-40:])
        self.exit_expected = 0

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        try:
            self.stop()
        finally:
            if self._control_socket:
                self._control_socket.close()
            self.notify.close()
            shutil.rmtree(self.folder)

    # What it says

    def _read_lines(self, fd):
        with open(fd, errors="surrogateescape") as stream:
            for line in stream:
                with self._lines_changed:
                    self.lines.append(line.rstrip("\n"))
                    self._lines_changed.notify_all()

    def log_mark(self):
        with self._lines_changed:
            return len(self.lines)

    def log(self, since=0):
        with self._lines_changed:
            return list(self.lines[since:])

    def wait_log(self, pattern, since=0, deadline=DEADLINE):
        """The first line (from `since`, a log_mark()) that the pattern is found in: its match."""
        def found():
            return next((m for m in map(re.compile(pattern).search, self.log(since)) if m), None)
        return eventually(found, lambda: f"log line {pattern!r}; log:\n" + "\n".join(self.log()), deadline)

    # What it is told

    def ctl(self, *arguments, **keywords):
        return sockqctl("--control", self.control, *arguments, **keywords)

    def varlink(self, **keywords):
        return Varlink(self.control, **keywords)

    def call(self, method, parameters=None, **keywords):
        with self.varlink() as session:
            return session.call(method, parameters, **keywords)

    def set(self, target="orders", settings=None, **selector):
        return self.call("Set", target=target, settings=settings, **selector)

    def flows(self, **selector):
        with self.varlink() as session:
            return [flow for part in session.stream("Flows", **selector) for flow in part["flows"]]

    def wait_flows(self, count, **selector):
        """Until there are so many."""
        eventually(lambda: len(self.flows(**selector)) == count,
                   lambda: f"{count} flows; there are {len(self.flows(**selector))}")
        return self.flows(**selector)

    def stats(self, listener="orders"):
        return next(s for s in self.call("Stats")["listeners"] if s["listener"] == listener)

    def wait_counters(self, listener="orders", **expected):
        """Until the counters have these values: what a client has seen happen may be counted a moment later."""
        def differing():
            counters = self.stats(listener)["counters"]
            return {name: counters[name] for name, value in expected.items() if counters[name] != value}
        eventually(lambda: not differing(), lambda: f"counters {expected}; different: {differing()}")

    def value(self, setting, target="orders"):
        """(value, origin)"""
        reply = self.call("Get", target=target, setting=setting)
        return reply["value"], reply["origin"]
