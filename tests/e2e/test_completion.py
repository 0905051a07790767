# SPDX-License-Identifier: MIT
"""The Tab key: what `sockqctl complete` offers, and the shells that ask it."""
import os
import pty
import shutil
import signal
import subprocess

import pytest

from harness.daemon import ROOT, SOCKQCTL, environment, sockqctl
from harness.waiting import eventually

SCRIPTS = ROOT / "ctl" / "completion"


def offered(*words, daemon=None, **variables):
    """The words that may stand in the last place, with what they mean."""
    control = {"SOCKQ_CONTROL": daemon.control if daemon else "/nonexistent"}
    result = sockqctl("complete", "--", *words, **control, **variables)
    assert result.status == 0
    return dict(line.split("\t") for line in result.out.splitlines())


def settings():
    return {s["setting"]: s for s in sockqctl("help", "settings", "--json").json()["settings"]}


@pytest.fixture
def daemon(serve):
    return serve("tcp4", profile={"dscp": "CS1"}, beside=True)


# From the tables


def test_verbs_with_their_help():
    verbs = {v["verb"]: v["help"] for v in sockqctl("help", "--json").json()["verbs"]}
    assert offered("") == verbs and offered() == verbs
    assert offered("st") == {name: text for name, text in verbs.items() if name.startswith("st")}


@pytest.mark.parametrize("words", [("get", "orders"), ("unset", "orders"), ("unset", "orders", "dscp")])
def test_settings_with_their_help(words):
    assert offered(*words, "") == {name: s["help"] for name, s in settings().items()}


def test_settings_to_be_set():
    assert offered("set", "orders", "") == {f"{name}=": s["help"] for name, s in settings().items()}
    assert list(offered("set", "orders", "dscp=EF", "nod")) == ["nodelay="]
    assert list(offered("set", "orders", "upstream.nod")) == ["upstream.nodelay="]
    assert list(offered("get", "orders", "client.nod")) == ["client.nodelay"]


@pytest.mark.parametrize("typed, expected", [
    ("nodelay=", {"true", "false", "inherit"}), ("dscp=AF4", {"AF41", "AF42", "AF43"}), ("dscp=ref", {"reflect"}),
    ("receive_buffer=", {"auto", "inherit"}), ("compression=", {"off", "zlib", "gzip"}),
    ("decompression=a", {"auto"}), ("allow=", {"none"}), ("compression_unit=p", {"payload"}), ("nonsense=", set()),
    ("congestion=", {"inherit"}), ("idle_timeout=", {"off"}),
])
def test_values(typed, expected):
    name = typed.split("=")[0]
    assert set(offered("set", "orders", typed)) == {f"{name}={value}" for value in expected}


def test_every_dscp_name():
    names = set(offered("send", "udp:127.0.0.1:1", "--dscp", ""))
    assert names == {word.removeprefix("dscp=") for word in offered("set", "orders", "dscp=")} - {"reflect", "passthrough",
                                                                                           "inherit"}
    assert {"EF", "LE", "VOICE-ADMIT", "CS0"} <= names


def test_options_of_the_verb():
    assert set(offered("flows", "--")) - set(offered("status", "--")) == {"--flow", "--source", "--legs"}
    assert set(offered("set", "orders", "dscp=EF", "--ne")) == {"--new-only"}
    assert "--control" in offered("-")


def test_other_words(tmp_path):
    (tmp_path / "control").touch()
    (tmp_path / "folder").mkdir()
    assert set(offered("log-level", "e")) == {"emerg", "err"}
    assert set(offered("monitor", "--level=de")) == {"--level=debug"}
    assert set(offered("send", "")) == {"tcp:", "udp:"}
    assert set(offered("help", "set")) == {"set", "settings"}
    assert set(offered("--control", f"{tmp_path}/")) == {f"{tmp_path}/control", f"{tmp_path}/folder/"}


def test_json():
    result = sockqctl("--json", "complete", "--", "set", "orders", "ds")
    assert result.json() == {"words": [{"word": "dscp=", "help": settings()["dscp"]["help"]}]}


# From the daemon


@pytest.mark.parametrize("words", [("show",), ("get",), ("set",), ("unset",)])
def test_listeners_and_profiles(daemon, words):
    assert set(offered(*words, "", daemon=daemon)) == {"orders", "beside", "profile:"}
    assert offered(*words, "or", daemon=daemon) == {"orders": "ack"}
    assert set(offered(*words, "profile:", daemon=daemon)) == {"profile:base"}


@pytest.mark.parametrize("verb", ["flows", "stats", "close"])
def test_listeners_alone(daemon, verb):
    assert set(offered(verb, "", daemon=daemon)) == {"orders", "beside"}


@pytest.mark.parametrize("verb", ["drain", "enable", "disable", "remove-upstream"])
def test_upstreams_of_the_listener(serve, verb):
    names = ["tcp:127.0.0.1:9", "udp:127.0.0.1:9"]
    daemon = serve("tcp4", target="forward", upstream=names, beside=True)
    assert offered(verb, "orders", "", daemon=daemon) == dict.fromkeys(names, "up")
    assert set(offered(verb, "orders", "tcp:127", daemon=daemon)) == {"tcp:127.0.0.1:9"}
    assert offered(verb, "beside", "", daemon=daemon) == offered(verb, "nobody", "", daemon=daemon) == {}


def test_new_upstream():
    assert set(offered("add-upstream", "orders", "")) == {"tcp:", "udp:", "unix:"}


def test_control_socket_of_the_command_line_is_asked(daemon):
    assert set(offered("--control", daemon.control, "flows", "")) == {"orders", "beside"}


def test_no_daemon_offers_no_names():
    assert offered("flows", "") == {}


# In the shells


def shell_environment(daemon):
    return environment(SOCKQ_CONTROL=daemon.control, PATH=f"{SOCKQCTL.parent}:{os.environ['PATH']}", TERM="dumb")


@pytest.mark.parametrize("line, expected", [
    ("sockqctl st", "status stats"), ("sockqctl flows ", "orders beside"), ("sockqctl set or", "orders"),
    ("sockqctl set orders ds", "dscp="), ("sockqctl set orders dscp=AF4", "AF41 AF42 AF43"),
    ("sockqctl show profile:b", "base"), ("sockqctl monitor --level=de", "debug"),
])
def test_bash(daemon, line, expected):
    script = '. "$0"; COMP_LINE=$1 COMP_POINT=${#1}; compopt() { :; }; _sockqctl sockqctl; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, SCRIPTS / "sockqctl.bash", line], capture_output=True, text=True,
                          env=shell_environment(daemon), check=True)
    assert done.stdout.strip() == expected and done.stderr == ""


@pytest.mark.parametrize("line, expected", [
    ("sockqctl st", ["stats", "status"]), ("sockqctl flows ", ["beside", "orders"]),
    ("sockqctl set orders dscp=AF4", ["dscp=AF41", "dscp=AF42", "dscp=AF43"]), ("sockqctl get orders ds", ["dscp"]),
])
def test_fish(daemon, line, expected, tmp_path):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    done = subprocess.run(["fish", "--no-config", "-c", f"source {SCRIPTS}/sockqctl.fish; complete -C '{line}'"],
                          capture_output=True, text=True, env={**shell_environment(daemon), "HOME": str(tmp_path)}, check=True)
    assert [word.split("\t")[0] for word in done.stdout.splitlines()] == expected, done.stderr


def typed_in_zsh(line, variables):
    """What zsh makes of a line when Tab and Return are pressed; it is printed instead of being run."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], variables)
    seen = bytearray()

    def said(what):
        os.set_blocking(fd, False)
        try:
            seen.extend(os.read(fd, 65536))
        except BlockingIOError:
            pass
        return what in seen

    try:
        os.write(fd, f"unsetopt zle_bracketed_paste; fpath=({SCRIPTS} $fpath); autoload -U compinit; compinit -u -D; "
                     "sockqctl-run() { print got:$#:$*: }; accept() { BUFFER=${BUFFER/sockqctl/sockqctl-run}; zle accept-line }; "
                     "zle -N accept; bindkey '^G' accept; print rea'dy'\n".encode())
        eventually(lambda: said(b"ready"), lambda: f"zsh to be ready: {seen!r}")
        os.write(fd, f"{line}\t".encode() + b"\x07")
        eventually(lambda: said(b"got:") and said(b":\r\n"), lambda: f"zsh's line: {seen!r}")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
    return seen.decode(errors="replace").rpartition("got:")[2].split(":", 1)[1].rsplit(":", 1)[0]


@pytest.mark.parametrize("line, expected", [
    ("sockqctl statu", "status"), ("sockqctl flows or", "flows orders"), ("sockqctl set orders nodel", "set orders nodelay="),
    ("sockqctl set orders dscp=AF41", "set orders dscp=AF41"), ("sockqctl show profile:b", "show profile:base"),
])
def test_zsh(daemon, line, expected, tmp_path):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    variables = {**shell_environment(daemon), "HOME": str(tmp_path)}
    assert typed_in_zsh(line, variables) == expected
