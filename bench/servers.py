# SPDX-License-Identifier: MIT
"""sockqd and its peers, each with one thread, each with the same buffers, on a port of its own on 127.0.0.1."""
import itertools
import shutil
import subprocess
from pathlib import Path

from processes import Failed, Process, cpus

REPLY = len("Received")
UDP_BUFFER = 1024 * 1024
_ports = itertools.count(20000)


def next_port():
    return next(_ports)


def needs(program):
    """Its path. Daemons may be where only root looks."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/lib/systemd")
    if not path:
        raise Failed(f"{program} is not installed")
    return path


class Server:
    """One of the servers, running. `reply_size`: bytes of its answer to a payload of `size`."""
    reply_size = REPLY
    cpu = cpus()[0]

    def __init__(self, place, kind, size, **keywords):
        self.place, self.kind, self.size = place, kind, size
        self.port = next_port()
        self.process = Process(self.command(**keywords), self.cpu, place.log(type(self).__name__.lower()),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            self.process.wait_bound(kind, self.port)
        except BaseException:
            self.process.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.end()

    def bare(self, name, *words):
        return [self.place.program(name), "--port", self.port, *words]

    def file(self, suffix, text):
        """A file of this server."""
        path = self.place.folder / f"{type(self).__name__.lower()}-{self.port}.{suffix}"
        path.write_text(text)
        return path

class Sockqd(Server):
    def sockqd(self):
        return self.place.program("sockqd", "daemon")

    def command(self, target="ack", settings=""):
        self.control = self.place.folder / f"control-{self.port}"
        buffers = f'receive_buffer = "{UDP_BUFFER}B"; send_buffer = "{UDP_BUFFER}B";' if self.kind == "udp" else ""
        config = self.file("conf", f"""
            daemon = {{ workers = 1; stats_interval = "off"; drain_timeout = "0s"; }};
            listeners = {{ bench = {{ target = "{target}"; {buffers} {settings}
                                      listen = [ "{self.kind}:127.0.0.1:{self.port}" ]; }}; }};""")
        return [self.sockqd(), "--config", config, "--control", self.control]

    def ctl(self, *words):
        done = subprocess.run([self.place.program("sockqctl", "ctl"), "--control", self.control, *words],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"sockqctl {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout


class Other(Sockqd):
    """Another build."""

    def sockqd(self):
        return self.place.against / "daemon" / "sockqd"


class Epoll(Server):
    def command(self):
        return self.bare("ack-tcp")


class Recvfrom(Server):
    def command(self):
        return self.bare("ack-udp")


class Recvmmsg(Server):
    def command(self):
        return self.bare("ack-udp", "--batch", 32)


class Sockperf(Server):
    """Answers with what came, marked as an answer."""

    def command(self):
        self.reply_size = self.size
        feed = self.file("feed", f"{self.kind[0].upper()}:127.0.0.1:{self.port}\n")
        return [needs("sockperf"), "server", "-f", feed, "-F", "epoll", "--buffer-size", UDP_BUFFER]


class Socat(Server):
    """One process a client, an echo through a pipe."""

    def options(self):
        return {"tcp": "nodelay", "udp": f"rcvbuf={UDP_BUFFER},sndbuf={UDP_BUFFER}"}[self.kind]

    def listen(self):
        """backlog= is for TCP alone: with UDP, each child would end for it."""
        backlog = ",backlog=4096" if self.kind == "tcp" else ""
        return f"{self.kind.upper()}4-LISTEN:{self.port},bind=127.0.0.1,reuseaddr,fork{backlog},{self.options()}"

    def command(self):
        self.reply_size = self.size
        return [needs("socat"), self.listen(), "PIPE"]


class Place:
    """Where the programs are, and a folder for what a run writes. `against`: another build folder, or None."""

    def __init__(self, build, folder, against):
        self.build, self.folder, self.against = Path(build), Path(folder), against

    def program(self, name, room="bench"):
        return self.build / room / name

    def log(self, name):
        return self.folder / f"{name}.log"
