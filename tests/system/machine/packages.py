# SPDX-License-Identifier: MIT
"""The packages under test, where tools/system puts them."""
import re
from pathlib import Path

from .command import must, run

FOLDER = Path("/out")
NAMES = ("sockq-ctl", "sockq")


def packages():
    """What was built."""
    return [next(FOLDER.glob(f"{name}_*.deb")) for name in NAMES]


def next_version(folder, change=lambda tree: None):
    """The same packages with a higher version; change(tree) may edit what sockq has in it."""
    made = []
    for package in packages():
        name = package.name.partition("_")[0]
        tree = folder / name
        must("dpkg-deb", "--raw-extract", package, tree)
        control = tree / "DEBIAN" / "control"
        version = re.search(r"^Version: (.*)$", control.read_text(), re.M).group(1)
        control.write_text(control.read_text().replace(version, version + "+next"))
        if name == "sockq":
            change(tree)
        made.append(folder / f"{name}.deb")
        must("dpkg-deb", "-Znone", "--root-owner-group", "--build", tree, made[-1])
    return made


def install(files):
    must("dpkg", "--force-confold", "--install", *files)


def remove():
    must("dpkg", "--remove", *NAMES)


def purge():
    must("dpkg", "--purge", *NAMES)


def version():
    """Of the installed daemon's package, or ''."""
    return run("dpkg-query", "--show", "--showformat=${Version}", "sockq").stdout
