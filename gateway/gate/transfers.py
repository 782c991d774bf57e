"""Files that go to the index server and come from it, as the trail has them.

Nothing here holds a request up or refuses one: what the form says is noted while it streams by,
files are hashed, and the entry is written behind the index's answer (`LateEntries`). What a rule
passes without looking at its form is recorded without what stands in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.core.audit.events import Event, Happened
from gateway.core.audit.transfer import Transfer, TransferredFile
from gateway.core.clock import Clock
from gateway.core.http.facts import Facts
from gateway.core.http.forms import FilePart, FormJudge
from gateway.core.login.models import caller_of
from gateway.core.rules.rules import Rule
from gateway.core.tokens.projects import is_name, normalised, projects_of, version_in
from gateway.core.upstream import Act, Action, Filing, Upstream
from gateway.gate.asking import Asker, Askers, OwnToken
from gateway.gate.late_entries import LateEntries
from gateway.gate.push_inspector import Push, pushes
from gateway.proxy.ports import Forward, Plan, Watch

NOTED: Final = frozenset({":action", "name", "version"})
"""Fields of a form that are noted, whatever they hold."""
_NO_UPLOADS: Final = frozenset({"verify", "remove_pkg"})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_FILES: Final = 20
_CUT: Final = 200
_DOWNLOADED: Final = frozenset({200, 206})


class Transfers:
    """One for a process. uploads, downloads: whether they are recorded."""

    def __init__(
        self,
        upstream: Upstream,
        askers: Askers,
        late: LateEntries,
        clock: Clock,
        *,
        uploads: bool,
        downloads: bool,
    ) -> None:
        self.upstream: Final = upstream
        self.askers: Final = askers
        self.late: Final = late
        self.clock: Final = clock
        self._uploads: Final = uploads
        self._files: Final = upstream if downloads and isinstance(upstream, Filing) else None

    def concerns(self, method: str, path: str) -> bool:
        """Whether a request may have to be recorded. Pure."""
        if method.upper() not in _SAFE:
            return self._uploads
        return self._files is not None and bool(self._files.file_at(path))

    def upload(self, facts: Facts, token: OwnToken | None) -> Upload | None:
        """What notes an upload; None for what is none."""
        if facts.safe or not self._uploads:
            return None
        act = self.upstream.act(facts)
        if act.by_form:
            return Upload(self, facts, act, token, "")
        if act.action is Action.UPLOAD:
            return Upload(self, facts, act, token, "test_result")
        if not act.by_xml and pushes(self.upstream, facts):
            return Upload(self, facts, act, token, "push")
        return None

    def download(self, facts: Facts, token: OwnToken | None) -> Download | None:
        """What notes a download; None for what is none."""
        name = self._files.file_at(facts.path) if self._files is not None else ""
        return Download(self, facts, name, token) if name and facts.method == "GET" else None


class _Hashed:
    """A file while it streams by."""

    __slots__ = ("complete", "digest", "name", "size")

    def __init__(self, name: str) -> None:
        self.name = _plain(name)
        self.size = 0
        self.digest = sha256()
        self.complete = False

    def told(self) -> TransferredFile:
        return TransferredFile(
            self.name, self.size, self.digest.hexdigest() if self.complete else ""
        )


class _Note:
    """Who asks for what: both ways have that in common."""

    def __init__(self, transfers: Transfers, facts: Facts, token: OwnToken | None) -> None:
        self._transfers: Final = transfers
        self._facts: Final = facts
        self._token: Final = token
        self._rule: Rule | None = None

    def by(self, rule: Rule | None) -> None:
        """The rule that decided."""
        self._rule = rule

    def _write(self, event: Event, project: str, transfer: Transfer, detail: str) -> None:
        transfers, facts = self._transfers, self._facts
        asker = transfers.askers.of(facts, self._token)
        happened = Happened(
            *(transfers.clock(), event, "", caller_of(facts, self._rule).origin),
            detail=detail,
            project=project,
            transfer=transfer,
            request=facts.notes.id,
        )
        transfers.late.put(_finish(transfers.askers, asker, happened))


def _finish(askers: Askers, asker: Asker, happened: Happened) -> Callable[[], Awaitable[Happened]]:
    async def finish() -> Happened:
        who = await askers.looked_up(asker)
        detail = "; ".join(part for part in (happened.detail, who.detail) if part)
        transfer = happened.transfer and replace(happened.transfer, token=who.token)
        return replace(happened, user=who.user, factor=who.factor, detail=detail, transfer=transfer)

    return finish


class Upload(_Note):
    """An upload: a `FileObserver` of its form, and a `Watch` of the answer."""

    def __init__(
        self, transfers: Transfers, facts: Facts, act: Act, token: OwnToken | None, action: str
    ) -> None:
        super().__init__(transfers, facts, token)
        self._act: Final = act
        self._action: Final = action
        self._judge: FormJudge | None = None
        self._push: Push | None = None
        self._files: Final[list[_Hashed]] = []
        self._file: _Hashed | None = None

    @property
    def pushes(self) -> bool:
        return self._action == "push"

    def reads(self, judge: FormJudge) -> None:
        """Who reads the form."""
        self._judge = judge

    def pushed(self, push: Push) -> None:
        """What its JSON says."""
        self._push = push

    # -- files --------------------------------------------------------------------------------

    def begins(self, part: FilePart) -> None:
        self._file = _Hashed(part.filename)
        if len(self._files) < _MOST_FILES:
            self._files.append(self._file)

    def content(self, data: bytes) -> int:
        file = self._file
        if file is not None:
            file.size += len(data)
            file.digest.update(data)
        return 0

    def ends(self) -> None:
        if self._file is not None:
            self._file.complete = True
        self._file = None

    # -- the answer ---------------------------------------------------------------------------

    def answered(self, status: int | None, length: int | None = None) -> None:
        fields = NotedFields(self._judge)
        action = self._action or fields.one(":action")
        if action in _NO_UPLOADS:
            return
        if self.pushes:
            if self._push is None:  # some other request to the address of an index
                return
            name, version, index = self._push.name, self._push.version, self._push.target
            out = urlsplit(self._push.elsewhere).hostname or ""
            details = [f"from {self._act.index}" + (f" to {out}" if out else "")]
        else:
            name, version, index = fields.one("name"), fields.one("version"), self._act.index or ""
            details = self._unread(action) + fields.twice
        files = tuple(file.told() for file in self._files)
        transfer = Transfer(
            *(_plain(action), _plain(index), self._version(version, files)),
            status=status or 0,
            token="",
            files=files,
        )
        self._write(_event(status), self._project(name, files), transfer, "; ".join(details))

    def _unread(self, action: str) -> list[str]:
        if self._act.by_form and self._judge is None:
            return ["the rule does not look at its form, so nothing is known of its files"]
        broke_off = self._file is not None or (
            self._judge is not None and not self._judge.complete and bool(action)
        )
        return ["it was not seen to its end"] if broke_off else []

    def _project(self, name: str, files: Sequence[TransferredFile]) -> str:
        if self._act.project:
            return self._act.project
        filed = self._transfers.upstream.file_project(files[0].name) if files else None
        if filed:
            return filed
        if is_name(name):
            return normalised(name)
        possible = projects_of(files[0].name) if files else ()
        return possible[0] if len(possible) == 1 else ""

    def _version(self, said: str, files: Sequence[TransferredFile]) -> str:
        return _plain(said) or (version_in(files[0].name) if files else "")


class Download(_Note):
    """A `Watch` of a download. How much of it arrives, nobody counts."""

    def __init__(
        self, transfers: Transfers, facts: Facts, name: str, token: OwnToken | None
    ) -> None:
        super().__init__(transfers, facts, token)
        self._name: Final = _plain(name)

    def answered(self, status: int | None, length: int | None = None) -> None:
        if status not in _DOWNLOADED:
            return
        act = self._transfers.upstream.act(self._facts)
        file = TransferredFile(self._name, length, "")
        transfer = Transfer(
            *("download", act.index or "", version_in(self._name)),
            status=status or 0,
            token="",
            files=(file,),
        )
        self._write(Event.DOWNLOAD, act.named, transfer, "")


class Watches(NamedTuple):
    """A `Watch` made of two."""

    one: Watch
    other: Watch

    def answered(self, status: int | None, length: int | None = None) -> None:
        self.one.answered(status, length)
        self.other.answered(status, length)


def noting(plan: Plan | Awaitable[Plan], note: Watch) -> Plan | Awaitable[Plan]:
    """The same plan, and the note is told of the answer."""
    if isinstance(plan, Awaitable):
        return _noting(plan, note)
    return _watched(plan, note)


async def _noting(plan: Awaitable[Plan], note: Watch) -> Plan:
    return _watched(await plan, note)


def _watched(plan: Plan, note: Watch) -> Plan:
    if not isinstance(plan, Forward):
        return plan
    return replace(plan, watch=note if plan.watch is None else Watches(plan.watch, note))


def about(judge: FormJudge) -> tuple[str, str]:
    """The project that a form names, and its version in words for the trail."""
    fields = NotedFields(judge)
    name, version = fields.one("name"), _plain(fields.one("version"))
    said = [f"version {version}"] if version else []
    if not judge.complete:
        said.append("the end of its form was not seen")
    return normalised(name) if is_name(name) else "", "; ".join(said + fields.twice)


class NotedFields:
    """What was noted of a form."""

    def __init__(self, judge: FormJudge | None) -> None:
        self._judge: Final = judge
        self.twice: Final[list[str]] = []

    def one(self, name: str) -> str:
        """The value of a field, "" for none; of several the last, which servers take."""
        if self._judge is None:
            return ""
        if name in self._judge.fields:
            return self._judge.fields[name]
        raw = self._judge.noted.get(name, b"")
        values = raw.split(b"\n")
        if len(values) > 1:
            self.twice.append(f"its field {name!r} is there twice")
        return values[-1].decode(errors="replace").strip()


def _event(status: int | None) -> Event:
    if status is None or status >= 500:
        return Event.UPLOAD_FAILED
    return Event.UPLOAD if status < 400 else Event.UPLOAD_REFUSED


def _plain(text: str) -> str:
    """What others wrote, cut, and with nothing in it that steers a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:_CUT])
