# SPDX-License-Identifier: MIT
import os
import resource

import pytest

from harness import netns, wire
from harness.config import one_listener
from harness.daemon import BUILD, SOCKQCTL, SOCKQD, Daemon, is_sanitized
from harness.relay import Relay, open_upstream, text_of
from harness.sockets import address_of, have_ipv6, open_socket


def pytest_configure(config):
    config.addinivalue_line("markers", "wire: looks at packets, needs root")
    config.addinivalue_line("markers", "root: needs root for another reason")
    config.addinivalue_line("markers", "ipv6: needs ::1")
    config.addinivalue_line("markers", "plain_build: too much work for a build with sanitizers")
    config.addinivalue_line("markers", "workers: exercises the threads; what the ThreadSanitizer build runs")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_report_header(config):
    return f"sockq under test: {BUILD}"


def pytest_sessionstart(session):
    for program in (SOCKQD, SOCKQCTL):
        if not program.exists():
            pytest.exit(f"{program} is missing: build first (tools/test does), or set SOCKQ_BUILD", returncode=2)


KINDS_OF_IPV6 = ("tcp6", "tcp46", "udp6", "udp46", "v6")


def needs_ipv6(item):
    """By its marker, or by a parameter like "tcp6", "udp46", "::1"."""
    words = [word for word in item.callspec.params.values() if isinstance(word, str)] if hasattr(item, "callspec") else []
    return item.get_closest_marker("ipv6") or any(word in KINDS_OF_IPV6 or "::" in word for word in words)


def pytest_runtest_setup(item):
    reason = None
    if not have_ipv6() and needs_ipv6(item):
        reason = "no IPv6 here"
    elif item.get_closest_marker("wire"):
        reason = wire.why_not()
    elif item.get_closest_marker("root") and os.geteuid() != 0:
        reason = "needs root"
    elif item.get_closest_marker("plain_build") and is_sanitized():
        reason = "too much work for a build with sanitizers"
    if reason:
        pytest.skip(reason)


@pytest.fixture
def make_daemon():
    """Daemons with everything one can say; all are stopped and judged at the end."""
    made = []

    def make(*arguments, **keywords):
        made.append(Daemon(*arguments, **keywords))
        return made[-1]

    yield make
    errors = []
    for daemon in made:
        try:
            daemon.close()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]


@pytest.fixture
def closing():
    """closing(x) returns x and closes it when the test is over."""
    kept = []

    def keep(what):
        kept.append(what)
        return what

    yield keep
    for what in reversed(kept):
        what.close()


@pytest.fixture
def serve(make_daemon, closing):
    """serve("tcp4", target="echo", ...): a started daemon with one listener "orders" on sockets of these kinds.

    Keywords are the listener's keys; profile={...} makes a profile "base". The daemon gets .addresses, .address (the first).
    beside: an echo listener "beside" on a socket of its own; the daemon gets .beside."""

    def start(*kinds, target="ack", daemon=None, start_options=None, hosts=None, prepare=None, beside=False, **keys):
        sockets = [closing(open_socket(kind, (hosts or {}).get(kind))) for kind in kinds]
        if prepare:
            for sock in sockets:
                prepare(sock)
        tree = one_listener(target, **keys)
        if daemon:
            tree["daemon"] = daemon
        passed = [("orders", sock) for sock in sockets]
        if beside:
            tree["listeners"]["beside"] = {"target": "echo"}
            passed.append(("beside", closing(open_socket("tcp4"))))
        made = make_daemon(tree, sockets=passed, **(start_options or {}))
        if beside:
            made.beside = address_of(passed[-1][1])
        made.listening = sockets
        made.addresses = [address_of(sock) for sock in sockets]
        made.address = made.addresses[0]
        return made.start()

    return start


@pytest.fixture
def relay(serve, closing, tmp_path):
    """relay("tcp4", to=["tcp6", "unix"], ...): a daemon whose listener forwards to upstreams of these kinds, as a Relay."""

    def start(*kinds, to=("tcp4",), backlog=4096, **keys):
        upstreams = [closing(open_upstream(kind, tmp_path / f"upstream{i}", backlog)) for i, kind in enumerate(to)]
        daemon = serve(*kinds, target="forward", upstream=[text_of(sock) for sock in upstreams], **keys)
        return closing(Relay(daemon, upstreams))

    return start


@pytest.fixture
def link(closing):
    return closing(_namespaces(netns.Link))


@pytest.fixture
def routed(closing):
    return closing(_namespaces(netns.Routed))


def _namespaces(kind):
    reason = netns.why_not()
    if reason:
        pytest.skip(reason)
    return kind()
