# SPDX-License-Identifier: MIT
"""README.md and the man pages say what the tables say."""
import re
import shutil
import subprocess

import pytest

from harness.daemon import ROOT, SOCKQCTL, SOCKQD, environment, sockqctl, sockqd
from harness.netns import why_not as why_no_network
from harness.waiting import eventually

MAN = {name: ROOT / "man" / name for name in ("sockqctl.1", "sockqd.8", "sockqd.conf.5.in", "sockq-varlink.7.in")}
INTERFACE = ROOT / "daemon" / "control" / "org.sockq.Control.varlink"
EXAMPLES = [ROOT / "etc" / "sockqd.conf", *sorted((ROOT / "etc" / "examples").glob("*.conf"))]


def text_of(path):
    """A page's text without its macros and escapes."""
    text = re.sub(r'^\.\\".*$', "", path.read_text(), flags=re.M)
    return text.replace("\\(dq", '"').replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


def items(path):
    """What the tagged lists of a page explain: the words of the lines .It"""
    lines = re.findall(r"^\.It (.*)$", path.read_text(), re.M)
    return [re.sub(r"\b(Li|Cm|No|Fl|Pq|Ar|Ev|Pa) ", "", line) for line in lines]


def rows(path, pattern):
    found = re.findall(pattern, (ROOT / path).read_text())
    assert found, f"{path} has no row like {pattern}"
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """page("sockqd.conf.5"): where the page stands, filled as the build fills it."""
    sources = {"sockqd.conf.5": ("settings", SOCKQCTL), "sockq-varlink.7": ("interface", INTERFACE)}
    folder = tmp_path_factory.mktemp("man")

    def fill(name):
        if name not in sources:
            return MAN[name]
        kind, source = sources[name]
        subprocess.run([ROOT / "man" / "fill.py", kind, MAN[name + ".in"], folder / name, source], check=True)
        return folder / name

    return fill


def settings():
    return sockqctl("help", "settings", "--json").json()["settings"]


def verbs():
    return [verb["verb"] for verb in sockqctl("help", "--json").json()["verbs"]]


# Tables


def test_every_setting_is_described(page):
    described = page("sockqd.conf.5").read_text()
    for setting in settings():
        name = setting["setting"]
        assert f".It Cm {name}\n" in described, name
        block = described.split(f".It Cm {name}\n")[1].split(".El")[0]
        assert setting["help"][1:] in block and f".Li {setting['syntax']}" in block, name
        assert f".It default\n.Li {setting['default']}\n" in block, name


@pytest.mark.parametrize("source", ["daemon/config/check.c", "daemon/config/check-listener.c",
                                    "daemon/config/check-forward.c"])
def test_every_key_of_the_files_is_described(source):
    explained = items(MAN["sockqd.conf.5.in"])
    for key in rows(source, r"\{ \"(\w+)\", (?:NULL|\"\w+\"), take_\w+ \}"):
        assert key in explained, key


def test_the_groups_of_single_legs_are_described():
    explained = " ".join(items(MAN["sockqd.conf.5.in"])).split()
    (names,) = rows("daemon/config/check-value.c", r"check_leg_names\[\] = \{ (.*), NULL \}")
    for name in re.findall(r"\"(\w+)\"", names):
        assert name in explained, name


def test_settings_of_which_each_leg_has_its_own_are_described(page):
    described = page("sockqd.conf.5").read_text()
    for setting in settings():
        block = described.split(f".It Cm {setting['setting']}\n")[1].split(".El")[0]
        assert (".It legs\n" in block) == setting["both_legs"], setting["setting"]


def test_every_target_is_described():
    explained = items(MAN["sockqd.conf.5.in"])
    for target in rows("daemon/target/targets.c", r"&target_(\w+)"):
        assert target in explained, target


def test_every_dscp_name_is_described():
    text = text_of(MAN["sockqd.conf.5.in"])
    marks = text[text.index(".Ss Marks"):]
    for name, number in rows("common/dscp.c", r"X\(\"([\w-]+)\", (\d+)\)"):
        assert re.search(rf"\b{name}\b[^0-9]*\b{number}\b", marks.replace("\n", " ")), (name, number)


def test_every_event_has_its_name_level_and_id():
    explained = items(MAN["sockqd.8"])
    kinds = rows("daemon/event/kinds.h", r"X\((\w+), LOG_(\w+), \"([0-9a-f]{32})\", ([01])\)")
    for kind, level, identifier, limited in kinds:
        expected = f"{kind.lower().replace('_', '-')} , {level.lower()} , {identifier}" + (" , limited" * int(limited))
        assert expected in explained, expected
    assert len([item for item in explained if re.search(r"[0-9a-f]{32}", item)]) == len(kinds)


def test_every_event_is_explained_in_the_catalog():
    """With a subject, an explanation and what to do; by fields that every event of the kind has."""
    entries = re.split(r"^-- ([0-9a-f]{32})\n", (ROOT / "units" / "sockqd.catalog").read_text(), flags=re.M)[1:]
    texts = dict(zip(entries[::2], entries[1::2]))
    assert len(entries) == 2 * len(texts), "an id stands there twice"
    assert set(texts) == set(rows("daemon/event/kinds.h", r"X\(\w+, LOG_\w+, \"([0-9a-f]{32})\""))
    fields = dict(rows("daemon/event/event.h", r"#define (FIELD_\w+) \"(\w+)\"")).values()
    for identifier, text in texts.items():
        header, _, body = text.partition("\n\n")
        assert re.match(r"Subject: \S.*\nDefined-By: sockqd\nDocumentation: man:\S.*$", header), identifier
        assert len([part for part in body.split("\n\n") if part.strip()]) >= 2, identifier
        assert all(len(line) <= 82 for line in text.splitlines()), identifier
        assert set(re.findall(r"@(\w+)@", text)) <= set(fields), identifier


def test_every_field_of_the_journal_is_described():
    told = " ".join(items(MAN["sockqd.8"]))
    used = "".join(path.read_text() for path in (ROOT / "daemon").rglob("*.c"))
    for macro, field in rows("daemon/event/event.h", r"#define (FIELD_\w+) \"(\w+)\""):
        if macro in used:
            assert re.search(rf"\b{field}\b", told), field


def test_every_counter_is_described():
    page = MAN["sockqd.8"].read_text()
    for name, text in rows("daemon/stats/stats.h", r"X\(\w+, \"(\w+)\", \"([^\"]+)\"\)"):
        assert f".It Li {name}\n{text[0].upper()}{text[1:]}.\n" in page, name


def test_every_verb_is_described():
    explained = [item.split()[0] for item in items(MAN["sockqctl.1"]) if item]
    for verb in verbs():
        assert verb in explained, verb


def test_every_option_of_sockqd_is_described():
    explained = " ".join(items(MAN["sockqd.8"]))
    for option in re.findall(r"--(\w+)", sockqd("--help").out):
        assert f"-{option}" in explained, option


@pytest.mark.parametrize("kind", ["method", "error"])
def test_every_method_and_error_is_described(kind):
    explained = re.findall(r"\w+", " ".join(items(MAN["sockq-varlink.7.in"])))
    for name in re.findall(rf"^{kind} (\w+)", INTERFACE.read_text(), re.M):
        assert name in explained, name


def test_access_to_methods_is_described():
    explained = items(MAN["sockq-varlink.7.in"])
    for name, access, flags in rows("daemon/control/table.c", r"METHOD\(\"(\w+)\"\), ACCESS_(\w+), (\w+)"):
        more = " , more" if flags == "METHOD_MORE" else ""
        assert f"{name} {access.lower()}{more}" in explained, name


def test_interface_stands_in_the_page_word_for_word(page):
    text = text_of(page("sockq-varlink.7")).replace("\\(ga", "`")
    assert INTERFACE.read_text() in text


# Examples


def literal_blocks(path):
    """Examples of a man page, as the reader sees them."""
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text_of(path), re.S | re.M)


def markdown_blocks(path):
    return re.findall(r"^```\w*\n(.*?)^```", path.read_text(), re.S | re.M)


def is_configuration(block):
    return re.match(r"(daemon|profiles|listeners)\s*=", block) is not None


def configurations():
    """(where, [text, ...]) of every example of a configuration. One without a target is a drop-in to the one before."""
    found = []
    for path, blocks in [(ROOT / "README.md", markdown_blocks(ROOT / "README.md")),
                         *((path, literal_blocks(path)) for path in MAN.values())]:
        for block in filter(is_configuration, blocks):
            if "target" in block:
                found.append((f"{path.name} {len(found) + 1}", [block]))
            else:
                found.append((f"{path.name} {len(found) + 1}", [*found[-1][1], block]))
    return found


@pytest.mark.parametrize("texts", [texts for _, texts in configurations()], ids=[name for name, _ in configurations()])
def test_example_configuration_passes_the_check(texts, tmp_path):
    (tmp_path / "sockqd.conf.d").mkdir()
    (tmp_path / "sockqd.conf").write_text(texts[0])
    for i, text in enumerate(texts[1:]):
        (tmp_path / "sockqd.conf.d" / f"{i}.conf").write_text(text)
    checked = sockqd("--config", tmp_path / "sockqd.conf", "--check")
    assert checked.status == 0, checked.err


def test_documents_have_examples():
    assert len(configurations()) >= 5


@pytest.mark.root
@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_shipped_configuration_starts(path, tmp_path):
    """In a network of its own, where every port is free."""
    if why_no_network():
        pytest.skip(why_no_network())
    control, log = tmp_path / "control", tmp_path / "log"
    script = 'ip link set lo up && exec "$@" 2>"$LOG"'
    daemon = subprocess.Popen(["unshare", "--net", "sh", "-c", script, "sh", SOCKQD, "--config", path,
                               "--control", control], env=environment(LOG=log))
    try:
        eventually(lambda: daemon.poll() is not None or control.exists(), "a control socket")
    finally:
        daemon.terminate()
    assert daemon.wait() == 0, log.read_text()


def mentioned_verbs():
    pages = {path.name: path.read_text() for path in [ROOT / "README.md", ROOT / "HACKING.md", ROOT / "CHANGELOG.md",
                                                       *MAN.values(), *EXAMPLES]}
    for name, text in pages.items():
        text = re.sub(r"^\.Nm sockqctl Cm ", "sockqctl ", text, flags=re.M)
        for words in re.findall(r"(?:^|[`\"'$(|;&]|\.Ql|\.Dl)\s*sockqctl ((?:--control \S+ )?[a-z-]+)", text, re.M):
            yield name, words.split()[-1]


def test_every_sockqctl_verb_that_is_mentioned_exists():
    known, mentioned = verbs(), list(mentioned_verbs())
    assert len(mentioned) > 20
    for name, verb in mentioned:
        assert verb in known, f"{name}: sockqctl {verb}"


def test_every_setting_that_an_example_sets_exists():
    known = [setting["setting"] for setting in settings()]
    for path in [ROOT / "README.md", *MAN.values()]:
        for line in re.findall(r"sockqctl set (.*)$", path.read_text(), re.M):
            for name in re.findall(r"\b(\w+)=", line.split("#")[0].split("`")[0]):
                assert name in known, f"{path.name}: {line}"


# Form


def test_every_file_says_the_same_version():
    version, = rows("meson.build", r"(?m)^ +version: '(.*)'")
    assert rows("CHANGELOG.md", r"(?m)^## (\S+)")[0] == version
    assert rows("debian/changelog", r"^sockq \((.*?)\)")[0] == version


@pytest.mark.parametrize("name", [name.removesuffix(".in") for name in MAN])
def test_page_is_clean_for_mandoc(name, page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page(name)], capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout


def test_links_of_the_markdown_files_lead_somewhere():
    for path in (ROOT / "README.md", ROOT / "HACKING.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (ROOT / target).exists(), f"{path.name}: {target}"


def test_files_and_functions_that_hacking_names_exist():
    text, _, _ = (ROOT / "HACKING.md").read_text().partition("## Conventions")
    sources = {path: path.read_text() for room in ("common", "daemon", "ctl", "tests") for path in (ROOT / room).rglob("*.[ch]")}
    names = {path.name for path in sources}
    for name in re.findall(r"`(?:[\w/]+/)?([\w-]+\.[ch])`", text):
        assert name in names, name
    for name in re.findall(r"`(\w+)\(\)`", text):
        assert any(re.search(rf"\b{name}\(", source) for source in sources.values()), name
