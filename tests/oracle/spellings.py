"""Other ways to write a path: everything that has made one server read it as another path."""

from __future__ import annotations

from hypothesis import strategies as st

JUNK = [
    "/", "//", "/.", "/..", "/./", "/../", "/x/..", "/%2e/", "/%2e%2e/", "/.%2e", "%2f", "%2F",
    "%5c", "\\", ";", ";x=1", "%3b", "?", "?x=/+login", "#", "%23", "%3f", "%00", "%0a", "%0d%0a",
    "%09", " ", "%20", "+", "%", "%2", "%25", "%252f", "%c0%af", "%e0%80%af", "\xe9", "%C3%A9",
    "%ef%bc%8f", "~", ":80", "@",
]  # fmt: skip
FRONTS = ["", "", "", "/", "/x/..", "/.", "http://other", "http://localhost:8080", "//other", "*"]

Path = tuple[str, ...]


@st.composite
def spellings(draw: st.DrawFn, paths: st.SearchStrategy[Path]) -> str:
    """A request target that might be meant as one of the paths (tuples of segments)."""
    segments = [_segment(draw, segment) for segment in draw(paths)]
    target = draw(st.sampled_from(FRONTS)) + "/" + "/".join(segments)
    target += draw(st.sampled_from(["", "", "", "/", "//", "/.", "%2f", "?", "?/+login", "/?a=b"]))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        at = draw(st.integers(0, len(target)))
        target = target[:at] + draw(st.sampled_from(JUNK)) + target[at:]
    return target


def _segment(draw: st.DrawFn, text: str) -> str:
    how = draw(st.sampled_from(["plain"] * 5 + ["some", "all", "twice", "upper", "swapped"]))
    if how == "some" and text:
        at = draw(st.integers(0, len(text) - 1))
        return text[:at] + f"%{ord(text[at]):02x}" + text[at + 1 :]
    if how == "all":
        return "".join(f"%{ord(char):02X}" for char in text)
    if how == "twice":
        return "".join(f"%25{ord(char):02x}" for char in text)
    if how == "upper":
        return text.upper()
    return text.replace("+", " ") if how == "swapped" else text
