"""Which cookies are ours, and which of several counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.cookies import DEVICE, FORM, OWN_NAMES, PENDING, SESSION, Jar, planted
from gateway.core.http.cookies import without_own_cookies as without
from gateway.core.http.facts import Facts
from gateway.proxy.http1.request_fields import FieldReader

PLAIN, SECURE = Jar(False), Jar(True)
NAMES = st.one_of(
    st.sampled_from(sorted(OWN_NAMES)),
    st.builds(
        lambda a, name, b: a + name + b,
        st.sampled_from(["", "x", "__Host-", "__host-", "__Secure-", "__Host-__Host-"]),
        st.sampled_from(["ig-session", "ig-SESSION", "IG-session", "ig-", "ig-foo", "s"]),
        st.sampled_from(["", "2", "-", ".x", "x"]),
    ),
)


def facts(cookie: str) -> Facts:
    return Facts("GET", "/", "/", "", (("cookie", cookie),), None)


@given(st.lists(st.tuples(NAMES, st.sampled_from(["", "1", "a.b", '"q"'])), max_size=6))
def test_just_our_names_are_taken_out(pairs: list[tuple[str, str]]) -> None:
    written = [f"{name}={value}" for name, value in pairs]
    others = [text for text, (name, _) in zip(written, pairs, strict=True) if name not in OWN_NAMES]
    assert without("; ".join(written)) == "; ".join(others)
    assert without(";\t".join(written)) == ";\t".join(others)
    if pairs:
        said = FieldReader(10).read(b"\nCookie: %s\r" % "; ".join(written).encode())
        assert said.own_cookie or len(others) == len(written), "it would go upstream unread"
        assert not said.own_cookie or len(others) < len(written), "the straight path is left for it"


@pytest.mark.parametrize("name", [SESSION, PENDING, DEVICE, FORM])
def test_a_name_counts_with_its_right_prefix_only(name: str) -> None:
    for jar, right, wrong in ((PLAIN, name, f"__Host-{name}"), (SECURE, f"__Host-{name}", name)):
        cookie = f"{wrong}=1; {name.upper()}=2; {right}2=3; x{right}=4; __Secure-{name}=5"
        assert jar.read(facts(cookie), name) == ""
        assert jar.read(facts(f"{cookie}; {right}=6"), name) == "6"
        assert planted(f"{right}=1; Path=/") and planted(f"{wrong}=1")
        assert not planted(f"{right}2=1")


@pytest.mark.parametrize("name", [SESSION, PENDING, DEVICE])
def test_of_several_only_one_that_was_made_here_counts(name: str) -> None:
    jar = Jar(False, lambda cookie, value: cookie == name and value.startswith("made"))

    def read(*values: str) -> str:
        return jar.read(facts("; ".join(f"{name}={value}" for value in values)), name)

    assert read("other") == "other"  # what it is worth is judged where it is used
    assert read("other", "made") == read("made", "other") == read("made", "made") == "made"
    assert read("other", "another") == ""
    assert read("made", "made too") == ""
    assert read("made", *map(str, range(1000))) == ""


def test_a_forms_cookie_is_the_same_in_each_request() -> None:
    assert PLAIN.read(facts("ig-form=planted; ig-form=ours"), FORM) == "planted"
