# SPDX-License-Identifier: MIT
"""Servers to forward to, each with a letter for a name, and a name server."""
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

from .sockets import connect
from .waiting import DEADLINE


class Server:
    """Says its letter to whoever connects, then echoes. May be stopped and started again at the same place."""

    def __init__(self, letter, host="127.0.0.1", port=0, path=None):
        self.letter = letter
        self._place = path or (host, port)
        self._listening = None
        self._connections = []
        self._lock = threading.Lock()
        self.start()

    @property
    def upstream(self):
        """As the configuration writes it."""
        if isinstance(self._place, str):
            return f"unix:{self._place}"
        host, port = self._place
        return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"

    @property
    def port(self):
        return self._place[1]

    def start(self):
        unix = isinstance(self._place, str)
        family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in self._place[0] else socket.AF_INET
        self._listening = socket.socket(family)
        if unix:
            Path(self._place).unlink(missing_ok=True)
        else:
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(self._place)
        self._listening.listen(1000)
        if not unix:
            self._place = self._listening.getsockname()[:2]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _accept(self, listening):
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                self._connections.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            sock.sendall(self.letter.encode())
            while data := sock.recv(65536):
                sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        sock.close()

    def stop(self):
        """New connections are refused; those that are there are cut."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for sock in self._connections:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._connections.clear()

    def close(self):
        try:
            self.stop()
        except OSError:
            pass


def whose(address, **options):
    """The letter of the server that takes a flow; "" when the client is turned away."""
    try:
        with connect(address, **options) as sock:
            return sock.recv(1).decode()
    except ConnectionError:
        return ""


def letters(address, count, **options):
    return "".join(whose(address, **options) for _ in range(count))


class NameServer:
    """dnsmasq on port 53 of a namespace, which it must be started inside of (netns.Link.inside())."""

    @staticmethod
    def why_not():
        return None if shutil.which("dnsmasq") else "dnsmasq is not installed"

    def __init__(self, folder, host="127.0.0.53", ttl=1):
        self._hosts = folder / "hosts"
        self._hosts.write_text("")
        self.resolv_conf = folder / "resolv.conf"
        self.resolv_conf.write_text(f"nameserver {host}\noptions timeout:1 attempts:1\n")
        self._command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
                         f"--listen-address={host}", "--bind-interfaces", f"--local-ttl={ttl}", "--domain-needed",
                         "--local=/example/", f"--addn-hosts={self._hosts}", "--pid-file",
                         "--log-queries", f"--log-facility={folder / 'queries'}"]
        self._queries = folder / "queries"
        self._host = host
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + DEADLINE
        while True:
            try:
                socket.create_connection((self._host, 53), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, "dnsmasq does not start"
                time.sleep(0.01)

    def say(self, **names):
        """What it answers from now on: app=["127.0.0.2"] is about app.example."""
        self._hosts.write_text("".join(f"{address} {name}.example\n" for name, found in names.items() for address in found))
        self.process.send_signal(1)

    def count(self, name):
        """How often it was asked for name.example."""
        return len(re.findall(rf"query\[\w+\] {name}\.example ", self._queries.read_text()))

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.stop()
