# SPDX-License-Identifier: MIT
"""The packages as files: what lintian says of them, and whether another build gives the same bytes."""
import os
import subprocess

import pytest

from machine.command import run
from machine.packages import FOLDER


def test_lintian_has_nothing_to_say():
    changes, = FOLDER.glob("sockq_*.changes")
    done = run("lintian", "--allow-root", "--fail-on=error,warning", changes)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """A build of the source package by somebody else: another folder, time zone, language, umask, number of jobs."""
    source, = FOLDER.glob("sockq_*.dsc")
    folder = tmp_path_factory.mktemp("somewhere")
    subprocess.run(["dpkg-source", "--extract", source, folder / "source"], check=True, capture_output=True)
    done = subprocess.run(["nice", "dpkg-buildpackage", "--build=binary", "--unsigned-changes"], cwd=folder / "source",
                          umask=0o027, capture_output=True, text=True,
                          env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck parallel=3", "TZ": "Pacific/Chatham", "LC_ALL": "C"})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_second_build_gives_the_same_bytes(second):
    packages = sorted(FOLDER.glob("*.deb"))
    assert len(packages) == 4, "two packages, and the debug symbols of each"
    differing = [package.name for package in packages if package.read_bytes() != (second / package.name).read_bytes()]
    assert not differing
