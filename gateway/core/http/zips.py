"""Judges the ZIP archives that an index unpacks, while they stream by.

Knows the format; knows no forms and no I/O. devpi unpacks documentation by the archive's central
directory, which stands at its end, and joins the names in it to a folder: one with `..` leaves it.
Which central directory it is, an end record says (APPNOTE 4.3.16), and readers take the last one
they find, in an archive that is cut off an earlier one. So every end record is judged with its
directory before its last byte goes on: whatever went on is no archive, or one with good names.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from gateway.core.errors import Refusal, Slug
from gateway.core.phrases import _

_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRY: Final = struct.Struct("<4s24x3H4xL4x")  # signature, lengths of three texts, attributes
_ENTRY_MARK: Final = b"PK\x01\x02"
_END: Final = struct.Struct("<4s8xL6x")  # signature, size of the central directory
_END_MARK: Final = b"PK\x05\x06"
_LOCATOR_MARK: Final = b"PK\x06\x07"  # of ZIP64, 20 bytes before the end record
_LOCATOR: Final = 20
_UNICODE_PATH: Final = 0x7075  # a second name, which some readers prefer
# A control character, a backslash, a root, a drive, a dot segment.
_LEAVES: Final = re.compile(rb"[\x00-\x1f\x7f\\]|\A/|\A.:|(?:\A|/)\.\.(?:/|\Z)", re.DOTALL)
_SYMLINK: Final = 0o120000
_TAR_BLOCK: Final = 512
DIRECTORY_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a central directory at most: 65,535 members (the most without ZIP64) of long names."""


class ZipWatch:
    """Looks at one archive in pieces of any size.

    Both methods raise Refusal `unsafe_archive` where an archive, or what is read of it when it is
    cut off here, would have a member outside of its folder, or could be read as something else.
    """

    def __init__(self) -> None:
        self._head = b""
        self._window = bytearray()  # the latest bytes: all that a directory could be in
        self._start = 0  # where the window stands in the archive
        self._sought = 0  # up to where, in the window, there is no unjudged end record
        self._floor = 0  # where, in the archive, a directory may begin at the earliest
        self._directory = -1  # in the window: where the first entry since then stands
        self._scanned = 0  # up to where it was looked for
        self._complete = False

    def feed(self, data: bytes) -> None:
        """The next bytes; they may go on when this returns."""
        if len(self._head) < _TAR_BLOCK:
            self._head += data[: _TAR_BLOCK - len(self._head)]
            _judge_start(self._head)
        self._window += data
        while True:
            at = self._window.find(_END_MARK, self._sought)
            if at < 0:
                self._sought = max(self._sought, len(self._window) - len(_END_MARK) + 1)
                break
            if at + _END.size > len(self._window):
                self._sought = at
                break
            self._judge_end(at)
            self._sought = at + 1
        self._forget()

    def finish(self) -> None:
        """The archive has ended."""
        if not self._complete:
            raise unsafe(_("it is no ZIP archive"))
        if self._window.find(_END_MARK, self._sought) >= 0:
            raise unsafe(_("it is cut off"))

    def _judge_end(self, at: int) -> None:
        """An end record stands at `at`; its directory ends there."""
        window = self._window
        size = _END.unpack_from(window, at)[1]
        if window[max(0, at - _LOCATOR) : at].startswith(_LOCATOR_MARK):
            raise unsafe(_("it is in the ZIP64 format"))
        first = at - size
        if first + self._start < 0:
            return  # it would begin before the archive: no reader takes that
        if first + self._start < self._floor:
            raise unsafe(_("its table of contents is too large"))
        if size and (first < 0 or not window.startswith(_ENTRY_MARK, first)):
            return  # nor that; what was forgotten since holds no mark
        for name, mode in _entries(bytes(memoryview(window)[first:at])):
            if mode & 0o170000 == _SYMLINK:
                raise unsafe(_("{name} in it is a symbolic link", name=_shown(name)))
            if _leaves(name):
                raise unsafe(
                    _("{name} in it would be written outside of its folder", name=_shown(name))
                )
        self._complete = True
        # An archive within this one is behind us. Directories never overlap, and none is read
        # twice: a hostile archive would keep the process busy with it.
        self._floor = self._start + at
        self._directory = -1
        self._scanned = at + 1

    def _forget(self) -> None:
        """Keep what a central directory may be in, and the end of everything else."""
        if self._directory < 0:
            found = self._window.find(_ENTRY_MARK, self._scanned)
            self._directory = found
            self._scanned = max(self._scanned, len(self._window) - len(_ENTRY_MARK) + 1)
        while self._directory >= 0 and len(self._window) - self._directory > DIRECTORY_LIMIT:
            self._floor = self._start + self._directory + 1
            self._directory = self._window.find(_ENTRY_MARK, self._directory + 1)
        keep = [max(0, self._sought - _LOCATOR), len(self._window)]
        if self._directory >= 0:
            keep.append(self._directory)
        cut = min(keep)
        if cut:
            del self._window[:cut]
            self._start += cut
            self._sought -= cut
            self._scanned = max(0, self._scanned - cut)
            if self._directory >= 0:
                self._directory -= cut


def unsafe(why: str) -> Refusal:
    return Refusal(Slug.UNSAFE_ARCHIVE, why=why)


def _judge_start(head: bytes) -> None:
    """Only what begins as a ZIP archive does, and is not a tar archive at the same time: devpi
    tries to read as one what is no ZIP archive."""
    if not any(start.startswith(head[:4]) for start in _STARTS):
        raise unsafe(_("it does not begin as a ZIP archive"))
    if len(head) == _TAR_BLOCK:
        import tarfile  # brings bzip2 and LZMA: only where an archive is looked into

        try:
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return
        raise unsafe(_("it is a tar archive as well"))


def _entries(directory: bytes) -> Iterator[tuple[bytes, int]]:
    """The names that members have, in any reading, and their Unix modes.

    Ends where the directory does, or where it is no directory any more.
    """
    at = 0
    while at + _ENTRY.size <= len(directory):
        mark, name_size, extra_size, comment_size, attributes = _ENTRY.unpack_from(directory, at)
        if mark != _ENTRY_MARK:
            return
        at += _ENTRY.size
        mode = attributes >> 16
        yield directory[at : at + name_size], mode
        at += name_size
        for second in _unicode_paths(directory[at : at + extra_size]):
            yield second, mode
        at += extra_size + comment_size


def _unicode_paths(extra: bytes) -> Iterator[bytes]:
    """Names in extra fields (APPNOTE 4.6.9)."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == _UNICODE_PATH and size > 5:
            yield extra[at + 4 : at + 4 + size][5:]
        at += 4 + size


def _leaves(name: bytes) -> bool:
    """Whether a member of that name is anything but a file or folder below where it is put.

    Told by the bytes: in all encodings that names have, these characters are ASCII.
    """
    return _LEAVES.search(name) is not None


def _shown(name: bytes) -> str:
    return repr(name[:80].decode("ascii", "replace"))
