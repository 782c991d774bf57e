"""A small run of each kind of fuzzing, enough inputs of which get through, and that each finds
what it is there for: something is broken on purpose, and found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.core.http import cookies
from gateway.proxy import rewrite
from gateway.settings import load
from tests.fuzz.answers import Answers
from tests.fuzz.cookies import Cookies
from tests.fuzz.forms import Forms
from tests.fuzz.heads import Heads
from tests.fuzz.paths import CONFIGS, Paths
from tests.fuzz.share import Share
from tests.fuzz.targets import CORPUS, TARGETS, Target, corpus, first_difference

pytestmark = pytest.mark.server
SEED = 20
PLUGINS = {"full": (), "plain": ("devpi-lockdown", "devpi-web", "devpi-tokens")}
MAKE: dict[str, Callable[[], Target]] = {
    "heads": Heads,
    "answers": Answers,
    "cookies": Cookies,
    "paths": lambda: Paths(PLUGINS),
}
FOUND: dict[str, Callable[[], Target]] = {**MAKE, "forms": Forms}
COUNTS = {"heads": 150, "answers": 100, "cookies": 300, "paths": 600}


@pytest.fixture(scope="module", params=MAKE)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    made = MAKE[request.param]()
    yield made
    made.close()


def test_no_difference_is_found(target: Target) -> None:
    target.share = Share(target.share.least)
    assert not first_difference(target, COUNTS[target.name], SEED)
    assert target.share.tried >= COUNTS[target.name]
    assert target.share.suffices(100), str(target.share)


@pytest.mark.parametrize("name", [name for name in FOUND if corpus(name)])
def test_what_was_found_once_is_not_found_again(name: str) -> None:
    target = FOUND[name]()
    try:
        for data in corpus(name):
            target.check(data)
    finally:
        target.close()


def test_every_folder_of_the_corpus_is_a_targets() -> None:
    folders = [folder for folder in CORPUS.iterdir() if folder.is_dir()]
    assert folders
    assert {folder.name for folder in folders} <= set(TARGETS)
    assert all(corpus(folder.name) for folder in folders)


# -- something is broken ----------------------------------------------------------------------


def framing_lost(patch: pytest.MonkeyPatch, target: Target) -> None:
    """A body goes on, and what says so does not."""
    head = rewrite.request_head
    patch.setattr(
        "gateway.proxy.exchange.request_head",
        lambda *given: head(*given).replace(b"Transfer-Encoding: chunked\r\n", b""),
    )


def credential_added(patch: pytest.MonkeyPatch, target: Target) -> None:
    """A field goes on that WSGI servers fold into a credential."""
    head = rewrite.request_head
    patch.setattr(
        "gateway.proxy.exchange.request_head",
        lambda *given: head(*given)[:-2] + b"X_Devpi_Auth: cm9vdDpwdw==\r\n\r\n",
    )


def sessions_pass(patch: pytest.MonkeyPatch, target: Target) -> None:
    """No answer is held back."""
    patch.setattr("tests.fuzz.stage.JudgingGate.sets_session", lambda self, cookie: False)


def ours_missing(patch: pytest.MonkeyPatch, target: Target) -> None:
    """What the gateway adds to an answer is not added."""
    head = rewrite.answer_head
    patch.setattr(
        "gateway.proxy.relay.answer_head",
        lambda *given: head(*given).replace(b"X-Ours: 1\r\n", b""),
    )


def cookies_pass(patch: pytest.MonkeyPatch, target: Target) -> None:
    patch.setattr(rewrite, "without_own_cookies", lambda header: header)


def cookies_rewritten(patch: pytest.MonkeyPatch, target: Target) -> None:
    plain = cookies.without_own_cookies
    patch.setattr(
        rewrite, "without_own_cookies", lambda header: "; ".join(plain(header).split(";"))
    )


def a_rule_too_narrow(patch: pytest.MonkeyPatch, target: Target) -> None:
    """Names that are written with a digit are forgotten, and what no rule names passes."""
    assert isinstance(target, Paths)
    text = (CONFIGS / "devpi.yaml").read_text()
    narrow = text.replace('path: "/{user}"}', 'path: "/{user:[a-z]+}"}')
    wide = narrow.replace("default: second_factor", "default: pass\nallow_open_default: true")
    assert text not in (narrow, wide)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "devpi.yaml"
        file.write_text(wide.partition("\ntests:")[0])
        target.rules = load(file).ruleset()


BROKEN = {
    "heads": [framing_lost, credential_added],
    "answers": [sessions_pass, ours_missing],
    "cookies": [cookies_pass, cookies_rewritten],
    "paths": [a_rule_too_narrow],
}


@pytest.mark.parametrize(
    ("name", "broken"),
    [(name, each) for name, several in BROKEN.items() for each in several],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_what_is_broken_is_found(
    name: str, broken: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = MAKE[name]()
    try:
        broken(monkeypatch, target)
        assert first_difference(target, 5 * COUNTS[name], SEED)
    finally:
        target.close()
