"""Other ways to write a path: everything that has made one server read it as another path."""

from __future__ import annotations

from random import Random
from urllib.parse import quote

from hypothesis import strategies as st

JUNK = [
    "/", "//", "/.", "/..", "/./", "/../", "/x/..", "/%2e/", "/%2e%2e/", "/.%2e", "%2f", "%2F",
    "%5c", "\\", ";", ";x=1", "%3b", "?", "?x=/+login", "#", "%23", "%3f", "%00", "%0a", "%0d%0a",
    "%09", " ", "%20", "+", "%", "%2", "%25", "%252f", "%c0%af", "%e0%80%af", "\xe9", "%C3%A9",
    "%ef%bc%8f", "~", ":80", "@",
]  # fmt: skip
FRONTS = ["", "", "", "/", "/x/..", "/.", "http://other", "http://localhost:8080", "//other", "*"]

Path = tuple[str, ...]


def spelled(random: Random, path: Path) -> str:
    """A request target that might be meant as this path (a tuple of segments)."""
    target = random.choice(FRONTS) + "/" + "/".join(_segment(random, each) for each in path)
    target += random.choice(["", "", "", "/", "//", "/.", "%2f", "?", "?/+login", "/?a=b"])
    for _ in range(random.choice([0, 0, 0, 1, 1, 2])):
        at = random.randint(0, len(target))
        target = target[:at] + random.choice(JUNK) + target[at:]
    return target


def plainly(random: Random, path: Path) -> str:
    """The same as clients write it: a slash at the end, an escape that is not needed, a query."""
    segments = [quote(each, safe=random.choice(["+:@%", "+", ""])) for each in path]
    at = random.randrange(len(segments)) if segments else -1
    if at >= 0 and path[at].isalnum() and random.random() < 0.4:
        segments[at] = _segment(random, path[at], random.choice(["some", "all"]))
    return "/" + "/".join(segments) + random.choice(["", "", "", "/", "?", "?a=/+login", "/?x"])


def spellings(paths: st.SearchStrategy[Path]) -> st.SearchStrategy[str]:
    """The same for paths that hypothesis chooses."""
    return st.builds(spelled, st.randoms(use_true_random=False), paths)


def _segment(random: Random, text: str, how: str = "") -> str:
    how = how or random.choice(["plain"] * 5 + ["some", "all", "twice", "upper", "swapped"])
    if how == "some" and text:
        at = random.randint(0, len(text) - 1)
        return text[:at] + f"%{ord(text[at]):02x}" + text[at + 1 :]
    if how == "all":
        return "".join(f"%{ord(char):02X}" for char in text)
    if how == "twice":
        return "".join(f"%25{ord(char):02x}" for char in text)
    if how == "upper":
        return text.upper()
    return text.replace("+", " ") if how == "swapped" else text
