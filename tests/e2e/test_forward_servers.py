# SPDX-License-Identifier: MIT
"""What people put behind a relay: nginx, sshd, dnsmasq, iperf3, and their own clients before it."""
import contextlib
import getpass
import json
import os
import random
import shutil
import subprocess
import threading
import urllib.request
from types import SimpleNamespace

import pytest

from harness.config import one_listener
from harness.sockets import connect, free_port
from harness.waiting import eventually

LOOPBACK = "127.0.0.1"


@pytest.fixture
def program(closing):
    """program("name", argument, ...): runs until the test is over; the test is skipped where one is not installed."""

    class Running:
        def __init__(self, command):
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def close(self):
            self.process.terminate()
            self.process.wait(30)

    def start(name, *arguments):
        return closing(Running([path_of(name), *map(str, arguments)]))

    return start


def path_of(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


def output_of(name, *arguments):
    done = subprocess.run([path_of(name), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_listening(port):
    def answers():
        try:
            connect((LOOPBACK, port)).close()
            return True
        except ConnectionRefusedError:
            return False
    eventually(answers, f"a server at port {port}")


def test_nginx(serve, program, tmp_path):
    """Files of all sizes, some at once, kept connections and single ones."""
    port = free_port()
    files = {f"f{size}": random.Random(size).randbytes(size) for size in (0, 1, 1000, 65_536, 5_000_000)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    tmp_path.chmod(0o755)
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"""daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/error.log; user root;
                        events {{ }}
                        http {{ access_log off; client_body_temp_path {tmp_path}/t1; proxy_temp_path {tmp_path}/t2;
                                fastcgi_temp_path {tmp_path}/t3; uwsgi_temp_path {tmp_path}/t4; scgi_temp_path {tmp_path}/t5;
                                server {{ listen {LOOPBACK}:{port}; root {tmp_path}; }} }}""")
    program("nginx", "-c", conf, "-e", tmp_path / "error.log")
    wait_listening(port)
    daemon = serve("tcp4", target="forward", upstream=[f"tcp:{LOOPBACK}:{port}"])
    url = f"http://{LOOPBACK}:{daemon.address[1]}/"
    wrong = []

    def fetch(seed):
        rng = random.Random(seed)
        for _ in range(15):
            name = rng.choice(list(files))
            with urllib.request.urlopen(url + name, timeout=30) as answer:
                if answer.read() != files[name]:
                    wrong.append(name)

    threads = [threading.Thread(target=fetch, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    if shutil.which("curl"):
        outputs = [argument for name in files for argument in ("-o", tmp_path / f"got-{name}", url + name)]
        subprocess.run(["curl", "-sSf", *map(str, outputs)], check=True, timeout=60)
        for name, data in files.items():
            assert (tmp_path / f"got-{name}").read_bytes() == data
    daemon.wait_flows(0)
    counters = daemon.stats()["counters"]
    assert counters["errors"] == counters["upstream_errors"] == counters["resets"] == counters["lost_bytes"] == 0


@pytest.fixture
def ssh(program, closing, tmp_path):
    """An sshd for whoever runs the tests, with .port and .options, those of ssh(1)."""
    if os.geteuid() == 0 and output_of("getent", "shadow", "root").split(":")[1].startswith("!"):
        pytest.skip("sshd lets nobody in whose account is locked, and root's is")
    server = SimpleNamespace(port=free_port(), options=["-F", "none", "-i", tmp_path / "key"])
    for key in ("host", "key"):
        output_of("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key)
    for option in ("StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path / 'known'}", "BatchMode=yes"):
        server.options += ["-o", option]
    conf = tmp_path / "sshd_config"
    conf.write_text(f"""ListenAddress {LOOPBACK}:{server.port}
                        HostKey {tmp_path / 'host'}
                        AuthorizedKeysFile {tmp_path / 'key.pub'}
                        StrictModes no
                        PidFile none
                        PermitRootLogin yes
                        Subsystem sftp internal-sftp""")
    if os.geteuid() == 0:
        closing(contextlib.ExitStack()).enter_context(folder_of_sshd())
    program("sshd", "-D", "-f", conf)
    wait_listening(server.port)
    return server


@contextlib.contextmanager
def folder_of_sshd():
    """It wants one when it is root, and its service makes it."""
    made = not os.path.exists("/run/sshd")
    os.makedirs("/run/sshd", exist_ok=True)
    yield
    if made:
        os.rmdir("/run/sshd")


def test_ssh(serve, ssh, tmp_path):
    """A file there and back by scp, and a command that is given one and gives it back."""
    sent = tmp_path / "sent"
    sent.write_bytes(random.Random(3).randbytes(30_000_000))
    daemon = serve("tcp4", target="forward", upstream=[f"tcp:{LOOPBACK}:{ssh.port}"])
    port, place = daemon.address[1], f"{getpass.getuser()}@{LOOPBACK}"
    output_of("scp", *ssh.options, "-P", port, sent, f"{place}:{tmp_path}/there")
    output_of("scp", *ssh.options, "-P", port, f"{place}:{tmp_path}/there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == sent.read_bytes()
    with sent.open("rb") as stream:
        done = subprocess.run([path_of("ssh"), *map(str, ssh.options), "-p", str(port), place, "cat; exit 7"], stdin=stream,
                              capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (7, sent.read_bytes())
    daemon.wait_flows(0)
    counters = daemon.stats()["counters"]
    assert counters["rx_bytes"] > 60_000_000 and counters["errors"] == counters["lost_bytes"] == 0


def test_dnsmasq(serve, program):
    """dig over UDP and over TCP, through one listener."""
    path_of("dig")
    port = free_port()
    program("dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root", f"--port={port}",
            f"--listen-address={LOOPBACK}", "--bind-interfaces", "--edns-packet-max=4096",
            "--address=/sockq.example/192.0.2.77",
            "--txt-record=long.example," + ",".join("x" * 200 for _ in range(10)))
    wait_listening(port)
    daemon = serve("udp4", "tcp4", target="forward", upstream=[f"{protocol}:{LOOPBACK}:{port}" for protocol in ("udp", "tcp")])
    ports = [address[1] for address in daemon.addresses]
    for i in range(5):
        assert output_of("dig", f"@{LOOPBACK}", "-p", ports[0], "+short", f"a{i}.sockq.example") == "192.0.2.77\n"
    assert output_of("dig", f"@{LOOPBACK}", "-p", ports[1], "+tcp", "+short", "sockq.example") == "192.0.2.77\n"
    assert "x" * 200 in output_of("dig", f"@{LOOPBACK}", "-p", ports[0], "+bufsize=4096", "+short", "TXT", "long.example")
    daemon.wait_counters(rx_datagrams=6, tx_datagrams=6, upstream_errors=0)


@pytest.mark.parametrize("options", [["-P", "4"], ["-R"], ["-u", "-b", "5M", "-l", "1200"], ["-u", "-b", "5M", "-R"]],
                         ids=["streams", "reverse", "datagrams", "datagrams-reverse"])
def test_iperf3(make_daemon, program, options):
    """It wants both protocols at one port."""
    port, ours = free_port(), free_port()
    program("iperf3", "-s", "-p", port, "-B", LOOPBACK)
    wait_listening(port)
    daemon = make_daemon(one_listener("forward", receive_buffer="4M", send_buffer="4M",
                                      upstream=[f"{protocol}:{LOOPBACK}:{port}" for protocol in ("udp", "tcp")],
                                      listen=[f"{protocol}:{LOOPBACK}:{ours}" for protocol in ("udp", "tcp")])).start()
    result = json.loads(output_of("iperf3", "-c", LOOPBACK, "-p", ours, "-t", 1, "-J", *options))
    assert "error" not in result
    total = result["end"].get("sum") or result["end"]["sum_received"]
    assert total["bytes"] > 300_000
    assert total.get("lost_percent", 0) < 20
    assert [row["failures"] for row in daemon.call("Upstreams")["upstreams"]] == [0, 0]
