# SPDX-License-Identifier: MIT
"""Who may do what, as users of the machine; and what the daemon's own user has."""
from pathlib import Path

import pytest

from machine.command import must, run
from machine.units import pid

ADMIN, LOOKER, OTHER = "sockq-test-admin", "sockq-test-look", "sockq-test-other"
DAEMON = "sockq-daemon"


@pytest.fixture(scope="module", autouse=True)
def users():
    groups = {ADMIN: "sockq-admin", LOOKER: "sockq", OTHER: ""}
    for user, group in groups.items():
        must("useradd", "--no-create-home", "--groups", group, user)
    yield
    for user in groups:
        must("userdel", user)


LOOK = (["status"], ["listeners"], ["show"], ["get", "default-tcp", "dscp"], ["flows"], ["stats"])
CHANGE = (["set", "default-tcp", "dscp=EF"], ["unset", "default-tcp"], ["reload"], ["log-level", "info"])
# user: what it may do
RIGHTS = {"root": (True, True), ADMIN: (True, True), LOOKER: (True, False), OTHER: (False, False), "nobody": (False, False),
          DAEMON: (True, True)}


@pytest.mark.parametrize("user", RIGHTS)
def test_rights(admin, journal, user):
    admin.start()
    for words, allowed in [*((words, RIGHTS[user][0]) for words in LOOK), *((words, RIGHTS[user][1]) for words in CHANGE)]:
        done = run("sockqctl", *words, user=user)
        assert done.returncode == (0 if allowed else 1), f"{words}: {done.stdout}{done.stderr}"
        if not allowed:
            assert "sockq-admin" in done.stderr, "it says who may"
    denied = sum((not right) * len(words) for right, words in zip(RIGHTS[user], (LOOK, CHANGE)))
    uid = must("id", "--user", user).strip()
    if denied:
        journal.wait_kind("ACCESS_DENIED", SOCKQ_UID=uid)
    else:
        assert not journal.kind("ACCESS_DENIED")


def test_everybody_may_ask_for_the_interface(admin):
    admin.start()
    assert run("sockqctl", "version", user=OTHER).returncode == 0


def test_group_counts_from_the_next_login_on(admin):
    admin.start()
    assert run("sockqctl", "status", user=OTHER).returncode == 1
    must("usermod", "--append", "--groups", "sockq", OTHER)
    try:
        assert run("sockqctl", "status", user=OTHER).returncode == 0
    finally:
        must("gpasswd", "--delete", OTHER, "sockq")


# The daemon's user

def status_of(process):
    """{field: words} of /proc/PID/status."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":")[1].split() for line in lines}


def test_daemon_runs_as_its_user_with_nothing_else(admin):
    admin.start()
    uid, gid = must("id", "--user", DAEMON).strip(), must("id", "--group", DAEMON).strip()
    told = status_of(pid())
    assert told["Uid"] == [uid] * 4 and told["Gid"] == [gid] * 4
    assert set(told["Groups"]) <= {gid}, "neither sockq nor sockq-admin"
    assert all(int(told[name][0], 16) == 0 for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh"))
    assert told["NoNewPrivs"] == ["1"] and told["Seccomp"] == ["2"]
    assert must("id", "--groups", "--name", DAEMON).split() == [DAEMON]
    shell = must("getent", "passwd", DAEMON).strip().split(":")[-1]
    assert shell.endswith("nologin")


def test_daemon_owns_nothing_but_its_state(admin):
    admin.start()
    must("sockqctl", "set", "default-tcp", "dscp=EF")
    owned = must("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/out", "-o", "-path", "/src", ")", "-prune",
                 "-o", "(", "-user", DAEMON, "-o", "-group", DAEMON, ")", "-print").splitlines()
    owned += must("find", "/run", "-xdev", "-user", DAEMON, "-o", "-group", DAEMON).splitlines()
    assert set(owned) <= {"/var/lib/sockq"}
    for path in ("/run/sockq", "/run/sockq/org.sockq.Control", "/etc/sockq", "/etc/sockq/sockqd.conf"):
        assert Path(path).owner() == "root"
    assert Path("/run/sockq").stat().st_mode & 0o7777 == 0o755
    assert Path("/run/sockq/org.sockq.Control").stat().st_mode & 0o777 == 0o666


def test_daemon_has_no_file_to_write(admin):
    """Beside its state folder, whatever the mode of a file says."""
    admin.start()
    inside = ("nsenter", f"--target={pid()}", "--mount", "--setuid", must("id", "--user", DAEMON).strip(), "--setgid",
              must("id", "--group", DAEMON).strip(), "--")
    for folder in ("/etc/sockq", "/run/sockq", "/usr", "/home", "/root"):
        assert run(*inside, "touch", f"{folder}/sockq-was-here").returncode != 0
