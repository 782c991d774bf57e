"""Key files: who may read them, that none is ever overwritten, and keys that change meanwhile."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway import keystore
from gateway.core.crypto.keyring import format_keys
from gateway.keystore import KeySource, KeysUnusable, create_key_file, replace_key_file

ONE = (("k1", bytes(32)),)
TWO = (("k2", bytes([1]) * 32), *ONE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "gateway.keys"
    create_key_file(made, ONE)
    return made


def test_a_new_file_is_its_owners_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keystore.read_key_file(path) == ONE
    assert os.listdir(path.parent) == [path.name]


def test_nothing_is_ever_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_key_file(path, TWO)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_link_that_leads_nowhere_is_no_free_place(tmp_path: Path) -> None:
    link = tmp_path / "gateway.keys"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        create_key_file(link, ONE)
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable, match="index-gateway keys new -o"):
        KeySource("file", str(tmp_path / "gateway.keys"))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o620])
def test_a_file_others_can_read_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeysUnusable, match="chmod 600"):
        KeySource("file", str(path))


@pytest.mark.parametrize("raw", [b"", b"k1 AAAA", b"\xff\xfe", "k1 Ä".encode()], ids=repr)
def test_a_broken_file_is_refused_without_showing_it(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    with pytest.raises(KeysUnusable) as refused:
        KeySource("file", str(path))
    assert "AAAA" not in str(refused.value)


def test_a_rotated_file_is_seen_within_its_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(keystore, "monotonic", lambda: now[0])
    source = KeySource("file", str(path))
    replace_key_file(path, TWO)
    assert source() == ONE
    now[0] += keystore.LOOK_EVERY
    assert source() == TWO
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("trouble", ["gone", "broken", "open"])
def test_later_troubles_leave_the_keys_as_they_were(
    path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    now = [100.0]
    monkeypatch.setattr(keystore, "monotonic", lambda: now[0])
    source = KeySource("file", str(path))
    if trouble == "gone":
        path.unlink()
    elif trouble == "broken":
        path.write_text("nonsense")
    else:
        replace_key_file(path, TWO)
        path.chmod(0o644)
    now[0] += 5
    assert source() == ONE
    if trouble != "gone":
        path.write_text(format_keys(TWO))
        path.chmod(0o600)
        os.utime(path, ns=(1, 1))
        now[0] += 5
        assert source() == TWO


def test_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KEYS", format_keys(TWO))
    assert KeySource("env", "GATEWAY_KEYS")() == TWO
    monkeypatch.delenv("GATEWAY_KEYS")
    with pytest.raises(KeysUnusable, match="GATEWAY_KEYS is not set"):
        KeySource("env", "GATEWAY_KEYS")


def test_two_rotations_do_not_run_at_once(path: Path) -> None:
    with (
        keystore.key_file_lock(path),
        pytest.raises(KeysUnusable, match="rotating"),
        keystore.key_file_lock(path),
    ):
        pass
    with keystore.key_file_lock(path):
        pass


def test_the_owner_rotates_a_file_of_another_group(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `chown index-gateway gateway.keys` leaves: only root may give a file to root's group."""
    monkeypatch.setattr(os, "getegid", lambda: path.stat().st_gid + 1)
    monkeypatch.setattr(os, "chown", _refused)
    replace_key_file(path, TWO)
    assert keystore.read_key_file(path) == TWO


def test_a_rotation_that_fails_leaves_no_keys_lying_about(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    monkeypatch.setattr(os, "chown", _refused)
    with pytest.raises(PermissionError):
        replace_key_file(path, TWO)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_text() == format_keys(ONE)


def _refused(*_: object) -> None:
    raise PermissionError
