"""A small run of the fuzzing of forms, and that it finds what it is there for."""

from __future__ import annotations

import re

import pytest

from gateway.core.http import form_dialects
from gateway.core.http.form_heads import HeadLines
from gateway.core.http.forms import FormJudge
from gateway.gate.form_inspector import FormInspector
from tests.fuzz.forms import Forms
from tests.fuzz.targets import first_difference

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_goes_on_means_what_was_judged(seed: int) -> None:
    assert not first_difference(Forms(), 150, seed)


def judged_too_late(patch: pytest.MonkeyPatch) -> None:
    """All that has come goes on, whatever was judged."""
    fed = FormInspector.feed

    def feed(self: FormInspector, data: bytes) -> object:
        self.fed = getattr(self, "fed", 0) + len(data)  # type: ignore[attr-defined]
        return fed(self, data)

    patch.setattr(FormInspector, "feed", feed)
    patch.setattr(FormInspector, "safe", property(lambda self: self.fed if self._going else 0))


def blank_lines_passed_over(patch: pytest.MonkeyPatch) -> None:
    """A line of white space does not end a head, and what precedes its end goes on."""
    add = HeadLines.add

    def passing(self: HeadLines, raw: bytes) -> None:
        if raw.strip():
            add(self, raw)

    patch.setattr(HeadLines, "add", passing)


def first_of_several(patch: pytest.MonkeyPatch) -> None:
    """A second deciding field is passed over."""
    wanted = FormJudge.wanted
    patch.setattr(
        FormJudge, "wanted", lambda self, name: name not in self.fields and wanted(self, name)
    )


def bare_line_feeds(patch: pytest.MonkeyPatch) -> None:
    """A delimiter after a bare LF is taken for content."""

    plain = form_dialects.Multipart._body

    def body(self: form_dialects.Multipart, data: bytes) -> int:
        found = re.search(rb"(?<!\r)\n" + re.escape(self._marker), data)
        if found is None:
            return plain(self, data)
        self._take(data[: found.end()])
        return found.end()

    patch.setattr(form_dialects.Multipart, "_body", body)


BROKEN = [judged_too_late, blank_lines_passed_over, first_of_several, bare_line_feeds]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda each: each.__name__)
def test_a_broken_reader_is_found(broken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(broken)
    broken(monkeypatch)
    assert any(first_difference(Forms(), 300, seed) for seed in SEEDS)
