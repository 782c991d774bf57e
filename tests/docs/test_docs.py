"""The documentation is true: examples are valid, tables complete, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import click
import pytest

from gateway.app.domain import reading_of
from gateway.cli import COMMANDS, cli
from gateway.core.errors import MESSAGES
from gateway.core.http.responses import Response
from gateway.core.rules.rules import Policy
from gateway.settings import loads, run_tests
from tests.support.servers import WITHOUT_PLUGINS

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BASE = """\
version: 1
public_url: https://packages.example.org
upstream: {kind: devpi, url: "http://127.0.0.1:3141"}
store: sqlite:state.db
"""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


# Blocks of `tests:` alone are about rules that stand elsewhere; they have a test of their own.
CONFIGURATIONS = [
    (page, number, block)
    for page in PAGES
    for number, block in enumerate(blocks(page, "yaml"))
    if not block.startswith(("#", "tests:"))
]


def test_there_is_something_to_look_at() -> None:
    """Each of the tests below passes, too, where it finds nothing."""
    assert len(PAGES) >= 9
    assert len(CONFIGURATIONS) >= 5
    assert sum(len(links(page)) for page in PAGES) >= 15
    assert sum(len(commands(page)) for page in PAGES) >= 30


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=f"{page.name}-{at}") for page, at, block in CONFIGURATIONS]
)
def test_every_example_of_a_configuration_is_valid(block: str) -> None:
    settings = loads((block if "version:" in block else BASE + block).encode())
    assert run_tests(settings, reading_of(settings)) == []


def test_the_tests_of_the_rules_page_hold_for_the_shipped_rules() -> None:
    shipped = (ROOT / "gateway/config/devpi.yaml").read_text("utf-8")
    tried = 0
    for block in blocks(ROOT / "docs/rules.md", "yaml"):
        if block.startswith("tests:"):
            rules = shipped.partition("\ntests:\n")[0]
            settings = loads(f"{rules}\n{block}".encode())
            tried += len(settings.tests)
            problems = run_tests(settings, reading_of(settings))
            failed = {problem.where.partition("'")[2] for problem in problems}
            # The pypiserver line and the network line are about other rules.
            assert failed <= {"POST /'", "GET /+changelog/17'"}
    assert tried >= 3


def test_generated_parts_are_current() -> None:
    argv = [sys.executable, str(ROOT / "tools/write_docs.py"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_every_slug_is_explained() -> None:
    text = (ROOT / "docs/why-refused.md").read_text("utf-8")
    assert set(re.findall(r"^### `(\w+)`", text, re.M)) == set(MESSAGES)
    assert len(MESSAGES) > 30


@pytest.mark.parametrize(
    ("heading", "words"),
    [("Policies", Policy), ("What browsers do with answers", Response)],
    ids=["policy", "response"],
)
def test_everything_that_a_rule_may_say_is_explained(heading: str, words: type[StrEnum]) -> None:
    text = (ROOT / "docs/rules.md").read_text("utf-8").partition(f"## {heading}\n")[2]
    explained = re.findall(r"^\| `(\w+)` \|", text.partition("\n## ")[0], re.M)
    assert explained == [word.value for word in words]


def links(page: Path) -> list[str]:
    """The addresses within the project that a page leads to."""
    found = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    return [target for target in found if "://" not in target]


def commands(page: Path) -> list[str]:
    """What stands behind `index-gateway` on a page."""
    lines = re.sub(r"\\\n *", "", "\n".join(blocks(page, r"\w+")))
    return [
        *re.findall(r"^(?:\$ )?index-gateway ([^#\n|]+)", lines, re.M),
        *re.findall(r"`index-gateway ([^`…]+)`", page.read_text("utf-8")),
    ]


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        assert (page.parent / target).exists(), target


def test_what_pages_make_can_be_made() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    made = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )?make ([a-z-]+)", text, re.M))
    assert len(made) >= 8
    assert made <= set(targets)


@pages
def test_commands_exist_with_their_options(page: Path) -> None:
    for line in commands(page):
        words = shlex.split(line)
        if words[0].startswith("-"):
            continue
        assert words[0] in COMMANDS, line
        command = cli.get_command(click.Context(cli), words[0])
        if isinstance(command, click.Group) and len(words) > 1:
            for name in words[1].split("|"):
                assert name in command.commands, line
            command = command.commands[words[1].split("|")[0]]
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        used = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        assert used <= known | {"--help"}, line


def explained() -> list[tuple[str, str, str]]:
    """Calls of `explain` in the pages that show what it prints: the kind of index, the rest of the
    line, the output."""
    shown = "\n".join(block for page in PAGES for block in blocks(page, "console"))
    calls = re.findall(r"^\$ index-gateway explain (.+?) +# (\w+)\n((?:[^$].*\n)*)", shown, re.M)
    return [(kind, line, output) for line, kind, output in calls]


@pytest.mark.parametrize(("kind", "line", "output"), explained())
def test_explain_prints_what_a_page_shows(
    tmp_path: Path, kind: str, line: str, output: str
) -> None:
    config = tmp_path / "gateway.yaml"
    argv = [sys.executable, "-m", "gateway"]
    subprocess.run([*argv, "init", kind, "-o", str(config)], check=True, capture_output=True)
    explain = [*argv, "explain", "-c", str(config), *shlex.split(line)]
    said = subprocess.run(explain, check=True, capture_output=True, text=True).stdout
    assert "\nrule: release deletion (" in said
    if output:  # where in the file, a page does not say: that changes with each line of it
        said = said.replace(str(config), "/etc/index-gateway/gateway.yaml")
        assert re.sub(r"\.yaml:\d+:\d+\)", ".yaml:…)", said) == output


def test_some_page_shows_what_explain_prints() -> None:
    assert {kind for kind, _, _ in explained()} == {"devpi", "pypiserver"}
    assert any(output for _, _, output in explained())


INDEXES = {
    # Without its plugins: an option of devpi-web's is none of the server's.
    "devpi-server": ("-c", WITHOUT_PLUGINS, "devpi-lockdown,devpi-web,devpi-tokens"),
    "devpi-gen-secret": ("-c", "from devpi_server.config import gensecret; gensecret()"),
    "pypi-server": ("-m", "pypiserver", "run"),
}
"""The servers behind, as a plain installation has them."""


@pytest.mark.parametrize("name", INDEXES)
def test_the_index_servers_know_the_options_that_pages_give_them(name: str) -> None:
    shown = "\n".join(block for page in PAGES for block in blocks(page, "sh"))
    lines = re.findall(rf"^{name} (.+)", shown.replace("\\\n", " "), re.M)
    assert lines, "a page tells how it is started"
    argv = [sys.executable, *INDEXES[name], "--help"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"(?<![\w-])--?\w[\w-]*", told))
    used = {word for line in lines for word in shlex.split(line, comments=True) if word[0] == "-"}
    assert used <= known, used - known


@pages
def test_nothing_secret_or_local_stands_in_a_page(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not re.search(r"/work/|/root/\.|/tmp/", text)


def promises() -> list[tuple[str, list[str]]]:
    """The promises of the page on security, and the tests each names."""
    text = (ROOT / "docs/security.md").read_text("utf-8").partition("## Promises\n")[2]
    rows = re.findall(r"^\| (?!-)(.+?) \| (.+?) \|$", text.partition("\n## ")[0], re.M)
    return [(promise, re.findall(r"`([^`]+)`", tests)) for promise, tests in rows]


def test_every_promise_names_tests_that_there_are() -> None:
    told = [(promise, tests) for promise, tests in promises() if not promise.endswith("…")]
    assert len(told) > 25
    for promise, tests in told:
        assert tests, f"nothing tries that whoever {promise}"
        for test in tests:
            file, _, name = test.partition("::")
            source = (ROOT / "tests" / file).read_text("utf-8")
            assert not name or re.search(rf"^(async )?def {name}\(", source, re.M), test
