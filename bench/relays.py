# SPDX-License-Identifier: MIT
"""sockqd and its peers as relays: each one process with one thread if it can be had, as much as possible as it comes,
from a port of its own on 127.0.0.1 to an upstream there."""
import os
from pathlib import Path

import servers
from processes import Failed
from servers import UDP_BUFFER, Server, needs, next_port

PASS_SOCKETS = Path(__file__).resolve().parents[1] / "tools/pass-sockets"
NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
CONNECTIONS = 6000  # of each, at most
IDLE_SECONDS = 60  # then a UDP session is over


class Relay(Server):
    """`upstream`: the port where to; one of its own if None. `most`: connections that it can hold; `descriptors`: of
    each."""
    most, descriptors = CONNECTIONS, 2

    def __init__(self, place, kind, upstream=None):
        self.upstream = upstream or next_port()
        super().__init__(place, kind, None)


class Direct:
    """None: clients talk to the upstream."""
    name = "direct"
    process = None

    def __init__(self, place, kind, upstream=None):
        self.port = self.upstream = upstream or next_port()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Sockqd(Relay, servers.Sockqd):
    name = "sockqd"

    def command(self):
        return super().command("forward", f'upstream = [ "{self.kind}:127.0.0.1:{self.upstream}" ];')


class Other(Sockqd, servers.Other):
    name = "sockqd, other build"


class Haproxy(Relay):
    name = "HAProxy"
    options, tuning = (), ""

    def command(self):
        return [needs("haproxy"), "-db", "-f", self.file("cfg", "\n".join([
            "global", "  nbthread 1", f"  maxconn {CONNECTIONS}", self.tuning,
            "defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 5m", "  timeout server 5m",
            *(f"  option {option}" for option in self.options),
            "listen bench", f"  bind 127.0.0.1:{self.port}", f"  server upstream 127.0.0.1:{self.upstream}", ""]))]


class HaproxySplice(Haproxy):
    name = "HAProxy, splice"
    options = ("splice-request", "splice-response")


class HaproxyPipes(HaproxySplice):
    name = "HAProxy, splice, 1M pipes"
    tuning = "  tune.pipesize 1048576"


class NginxProgram(Server):
    """nginx with the configuration that `serves` returns."""

    def nginx(self, loads, serves):
        folder = self.place.folder
        return [needs("nginx"), "-e", "stderr", "-p", folder, "-c", self.file("conf", f"""
            {loads}
            user root; daemon off; master_process off; worker_processes 1; error_log stderr error;
            pid {folder}/nginx-{self.port}.pid;
            events {{ worker_connections {2 * CONNECTIONS + 100}; }}
            {serves}""")]


class Nginx(Relay, NginxProgram):
    name = "nginx stream"
    buffer = "16k"

    def command(self):
        if not NGINX_STREAM.exists():
            raise Failed("libnginx-mod-stream is not installed")
        options = {"tcp": "backlog=4096", "udp": f"udp rcvbuf={UDP_BUFFER} sndbuf={UDP_BUFFER}"}[self.kind]
        timeout = {"tcp": "5m", "udp": f"{IDLE_SECONDS}s"}[self.kind]
        return self.nginx(f"load_module {NGINX_STREAM};", f"""
            stream {{ server {{ listen 127.0.0.1:{self.port} {options}; proxy_pass 127.0.0.1:{self.upstream};
                                proxy_timeout {timeout}; proxy_buffer_size {self.buffer}; }} }}""")


class NginxLarge(Nginx):
    name = "nginx stream, 256K buffers"
    buffer = "256k"


class SocketProxyd(Relay):
    name = "systemd-socket-proxyd"
    most, descriptors = 3000, 6  # two pipes each

    def command(self):
        return [PASS_SOCKETS, f"bench=tcp:127.0.0.1:{self.port}", "--", needs("systemd-socket-proxyd"),
                f"--connections-max={CONNECTIONS}", f"127.0.0.1:{self.upstream}"]


class Socat(Relay, servers.Socat):
    """One process a connection or session."""
    name = "socat"
    most = 100

    def command(self):
        upstream = f"{self.kind.upper()}4:127.0.0.1:{self.upstream},{self.options()}"
        return [needs("socat"), "-T", IDLE_SECONDS, self.listen(), upstream]


class Http(NginxProgram):
    """An HTTP server to relay to, wherever the kernel likes to run it."""
    cpu = None

    def command(self):
        folder = self.place.folder
        paths = "".join(f"{kind}_temp_path {folder}/{kind};"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return self.nginx("", f"""
            http {{ access_log off; keepalive_requests 1000000000; {paths}
                    server {{ listen 127.0.0.1:{self.port} backlog=4096;
                              location / {{ return 200 "{'x' * 64}"; }} }} }}""")
