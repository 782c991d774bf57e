"""What requests do at pypiserver, and what it holds: files."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from urllib.parse import urlencode

from tests.core.http import form_bodies
from tests.fuzz.whole import VICTIM, Act
from tests.support.gateways import Gateway
from tests.support.servers import Index

KEPT = ("victim-1.0.tar.gz", "victim-1.0-py3-none-any.whl", "hello-1.0.tar.gz")
URLENCODED = "application/x-www-form-urlencoded"
REMOVAL = {":action": "remove_pkg", "name": "victim", "version": "1.0"}


def _plain(action: bytes) -> bytes:
    parts = [(b":action", action), (b"name", b"victim"), (b"version", b"1.0")]
    made = b"".join(form_bodies.plain(*part) for part in parts)
    return made + form_bodies.plain(b"content", b"data", form_bodies.FILE) + form_bodies.ENDS[0]


_KINDS = [
    form_bodies.TYPE, form_bodies.TYPE.upper(), form_bodies.TYPE + "; charset=utf-16",
    form_bodies.TYPE.replace("form-data", "mixed"), form_bodies.TYPE.replace("; ", ";"),
    form_bodies.TYPE.replace("boundary=", "boundary=x; boundary="), "multipart/form-data",
    form_bodies.TYPE.replace("=", '="') + '"', form_bodies.TYPE + "x", "application/json",
    form_bodies.TYPE + ", " + URLENCODED, URLENCODED, URLENCODED + "; charset=utf-7", "",
]  # fmt: skip
_ENCODED = [
    urlencode(REMOVAL),
    urlencode({":action": "file_upload"}) + "&" + urlencode(REMOVAL),
    urlencode({":action": "file_upload"}) + ";" + urlencode(REMOVAL),
    urlencode(REMOVAL).replace("%3A", ":"),
    urlencode(REMOVAL).replace("remove", "%72emove"),
    urlencode({":action": "file_upload", "x": "\n" + urlencode(REMOVAL)}),
]


def acts(random: Random) -> list[Act]:
    """Anew for each request: the forms are generated."""
    form = form_bodies.TYPE
    kind = random.choice(_KINDS)
    return [
        *[Act("POST", (), form, form_bodies.body(random))] * 4,
        Act("POST", (), form, _plain(b"remove_pkg")),
        Act("POST", (), form, _plain(b"file_upload")),
        Act("POST", (), form, _plain(b"verify")),
        Act("POST", (), kind, _plain(b"remove_pkg")),
        Act("POST", (), URLENCODED, random.choice(_ENCODED).encode()),
        Act("POST", (), kind, random.choice(_ENCODED).encode()),
        Act("DELETE", ("packages", KEPT[0])),
        Act("PUT", ("packages", KEPT[0]), "application/octet-stream", b"x"),
        Act("POST", ("RPC2",), "text/xml", b"<methodCall><methodName>search</methodName>"
            b"<params><param/></params></methodCall>"),
        Act("GET", ("simple", "victim")), Act("GET", ("packages", KEPT[0])),
        Act("GET", ("victim", "json")),
    ]  # fmt: skip


class PypiserverSite:
    """pypiserver with releases of the victim's. gateway: None to send straight to it."""

    def __init__(self, index: Index, gateway: Gateway | None) -> None:
        self._packages = index.place / "packages"
        self.port = gateway.port if gateway else index.port
        self.known = {f"{VICTIM}.password": b"password of victim", "root.password": b"root"}
        for name in KEPT:
            (self._packages / name).write_bytes(name.encode())
        if gateway is not None:
            gateway.enrol(VICTIM)

    def stamp(self) -> object:
        return self.state()

    def state(self) -> dict[str, str]:
        """Every file and its digest."""
        found = {}
        for path in sorted(self._packages.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(self._packages))] = sha256(path.read_bytes()).hexdigest()
        return found

    def wrong(self, before: object, after: object) -> str:
        assert isinstance(before, dict) and isinstance(after, dict)
        lost = [name for name in KEPT if after.get(name) != sha256(name.encode()).hexdigest()]
        for name in lost:
            (self._packages / name).write_bytes(name.encode())
        lost += [name for name in before if name not in after and name not in KEPT]
        return f"lost: {', '.join(lost)}" if lost else ""

    def handed_out(self, answer: bytes) -> bool:
        return False
