# SPDX-License-Identifier: MIT
"""varlinkctl (systemd 255 and later) as the client of the running service."""
import json
import shutil

import pytest

from harness.sockets import ask_tcp
from harness.varlink import INTERFACE
from harness.waiting import eventually
from machine.command import ctl, must, run
from machine.units import DEFAULT

if not shutil.which("varlinkctl"):
    pytest.skip("no varlinkctl in this release", allow_module_level=True)

SOCKET = "/run/sockq/org.sockq.Control"


def varlinkctl(*words, user=None):
    return must("varlinkctl", "--no-pager", *words, user=user)


def call(method, *options, user=None, **parameters):
    printed = varlinkctl("--json=short", *options, "call", SOCKET, f"{INTERFACE}.{method}", json.dumps(parameters), user=user)
    return [json.loads(line) for line in printed.replace("\x1e", "").splitlines()]  # --more: a JSON text sequence


def test_info_starts_the_service(admin):
    admin.sockets()
    info = json.loads(varlinkctl("--json=short", "info", SOCKET))
    assert info["product"] and INTERFACE in info["interfaces"] and "org.varlink.service" in info["interfaces"]


def test_introspect_understands_every_interface(admin):
    """varlinkctl parses the description before it prints it."""
    admin.start()
    assert INTERFACE in varlinkctl("list-interfaces", SOCKET)
    text = varlinkctl("introspect", SOCKET, INTERFACE)
    assert "method Set" in text.replace("\x1b", "") and "error ChangeFailed" in text
    assert varlinkctl("introspect", SOCKET, "org.varlink.service")
    methods = varlinkctl("list-methods", SOCKET, INTERFACE).split()
    assert f"{INTERFACE}.Reload" in " ".join(methods)


def test_call(admin):
    admin.start()
    status, = call("Status")
    assert status["state"] == "serving"
    change, = call("Set", target="default-tcp", settings={"dscp": "EF"})
    assert [key["outcome"] for key in change["keys"]] == ["applied"]
    assert ctl("get", "default-tcp", "dscp").strip() == "EF"
    failed = run("varlinkctl", "call", SOCKET, f"{INTERFACE}.Get", '{"target":"nosuch","setting":"dscp"}')
    assert failed.returncode != 0 and "NoSuchListener" in failed.stderr


def test_call_without_the_right(admin):
    admin.start()
    denied = run("varlinkctl", "call", SOCKET, f"{INTERFACE}.Status", "{}", user="nobody")
    assert denied.returncode != 0 and "PermissionDenied" in denied.stderr


def test_call_more(admin, background):
    """Flows ends by itself; Monitor goes on until the client leaves."""
    admin.start()
    assert call("Flows", "--more")[-1] == {"flows": []}
    watched = background("varlinkctl", "--json=short", "--more", "call", SOCKET, f"{INTERFACE}.Monitor", "{}")

    def seen():
        ctl("set", "default-tcp", "dscp=EF")
        return any("setting-changed" in line for line in watched.lines)

    eventually(seen, lambda: f"a change in {watched.lines}")
    assert ask_tcp(DEFAULT, b"x") == b"Received"
