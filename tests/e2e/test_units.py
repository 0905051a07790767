# SPDX-License-Identifier: MIT
"""What `meson install` puts where, and what systemd's own tools say of it."""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.daemon import BUILD, ROOT, SOCKQCTL, SOCKQD

SERVICE = "sockqd.service"
SOCKETS = ["sockqd-control.socket", "sockqd-tcp.socket", "sockqd-udp.socket"]
EXAMPLE = "sockqd-orders.socket"
CONFIGURATION = ROOT / "etc" / "sockqd.conf"


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


def install(root):
    need("meson")
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root)


def option(name):
    told = json.loads(run("meson", "introspect", BUILD, "--buildoptions"))
    return next(o["value"] for o in told if o["name"] == name)


def folder(name):
    """An option that names a folder, which may be relative to the prefix."""
    return Path(option("prefix")) / option(name)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a whole installation in it."""
    root = tmp_path_factory.mktemp("root")
    install(root)
    return root


@pytest.fixture(scope="module")
def files(root):
    return {path.name: path for path in root.rglob("*") if path.is_file()}


def values(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.M)


# Installation


def test_everything_is_installed(files):
    for name in [SERVICE, *SOCKETS, EXAMPLE, "sockqd", "sockqctl", "sockqd.8", "sockqctl.1", "sockq-varlink.7", "sockqd.conf",
                 "sockq.conf", "sockqd.catalog", "_sockqctl", "sockqctl.fish", "voice.conf", "net-admin.conf",
                 "terminate-only.conf"]:
        assert name in files, name


def test_service_runs_the_programs_of_its_prefix(root, files):
    assert values(files[SERVICE], "ExecStart") == [str(folder("sbindir") / "sockqd")]
    assert values(files[SERVICE], "ExecReload") == [str(folder("bindir") / "sockqctl") + " reload"]
    for key in ("ExecStart", "ExecReload"):
        assert (root / values(files[SERVICE], key)[0].split()[0].lstrip("/")).exists()


def test_service_knows_where_the_examples_are(root, files):
    mentioned = re.search(r"(/\S+/examples/\S+)", files[SERVICE].read_text())[1]
    assert (root / mentioned.lstrip("/")) == files["net-admin.conf"].parent


def test_edited_configuration_is_kept(tmp_path):
    install(tmp_path)
    path = tmp_path / str(folder("sysconfdir")).lstrip("/") / "sockq" / "sockqd.conf"
    assert path.read_text() == CONFIGURATION.read_text()
    path.write_text("# edited\n")
    install(tmp_path)
    assert path.read_text() == "# edited\n"


# Sockets and users


def test_sockets_are_those_of_the_default_configuration(files):
    _, _, described = CONFIGURATION.read_text().partition("\nlisteners = {")
    listeners = dict(re.findall(r"^  ([\w-]+) = \{.*?listen = \[ (.*?) \]", described, re.S | re.M))
    for name, kind, key in ("sockqd-tcp.socket", "tcp", "ListenStream"), ("sockqd-udp.socket", "udp", "ListenDatagram"):
        listener, = values(files[name], "FileDescriptorName")
        assert re.findall(r'"(.*?)"', listeners.pop(listener)) == [f"{kind}:{address}" for address in values(files[name], key)]
    assert not listeners


@pytest.mark.parametrize("name", [*SOCKETS, EXAMPLE])
def test_sockets_name_the_service_themselves(files, name):
    assert values(files[name], "Service") == [SERVICE]
    assert "sockets.target" in values(files[name], "WantedBy")[0]


def test_daemon_is_not_in_the_groups_that_it_lets_in(files, tmp_path):
    need("systemd-sysusers")
    users, = (path for path in files["sockqd.catalog"].parents[2].glob("sysusers.d/*.conf"))
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", users)
    accounts = [line.split(":") for line in (tmp_path / "etc" / "passwd").read_text().splitlines()]
    groups = {line.split(":")[0]: line.split(":")[2:] for line in (tmp_path / "etc" / "group").read_text().splitlines()}
    user = values(files[SERVICE], "User")[0]
    assert [(account[0], account[3]) for account in accounts] == [(user, groups[user][0])]
    assert set(groups) == {user, "sockq", "sockq-admin"} and all(not members for _, members in groups.values())


# What systemd says


@pytest.fixture
def units(files, tmp_path):
    """The units in a folder of their own, with programs that are there."""
    need("systemd-analyze")
    for name in [SERVICE, *SOCKETS, EXAMPLE]:
        text = files[name].read_text()
        text = re.sub(r"^(ExecStart=)\S+", rf"\1{SOCKQD}", text, flags=re.M)
        text = re.sub(r"^(ExecReload=)\S+", rf"\1{SOCKQCTL}", text, flags=re.M)
        (tmp_path / name).write_text(text)
    (tmp_path / f"{SERVICE}.d").mkdir()
    return tmp_path


def test_verify_is_silent(units):
    assert run("systemd-analyze", "verify", "--man=no", *(units / name for name in [SERVICE, *SOCKETS, EXAMPLE])) == ""


@pytest.mark.parametrize("drop_in, most", [(None, 1.2), ("terminate-only.conf", 0.8), ("net-admin.conf", 1.5)])
def test_exposure_is_low(units, files, drop_in, most):
    if drop_in:
        shutil.copy(files[drop_in], units / f"{SERVICE}.d")
    told = run("systemd-analyze", "security", "--offline=true", units / SERVICE)
    assert float(re.search(r"Overall exposure level .*: ([\d.]+)", told)[1]) <= most, told


def test_drop_ins_are_verified(units, files):
    for name in "net-admin.conf", "terminate-only.conf":
        shutil.copy(files[name], units / f"{SERVICE}.d")
    assert run("systemd-analyze", "verify", "--man=no", units / SERVICE) == ""


def test_catalog_is_understood(files, tmp_path):
    need("journalctl")
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var" / "lib" / "systemd" / "catalog").mkdir(parents=True)
    shutil.copy(files["sockqd.catalog"], folder)
    assert run("journalctl", f"--root={tmp_path}", "--update-catalog") == ""
    database = (tmp_path / "var" / "lib" / "systemd" / "catalog" / "database").read_bytes()
    assert database.count(b"Defined-By: sockqd") == len(re.findall(r"^-- ", files["sockqd.catalog"].read_text(), re.M))
