"""The country of an address, by a real file in MaxMind's format."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import countries, languages
from gateway.core.audit.events import Origin
from gateway.core.notices.events import Notice
from gateway.core.notices.queue import Letter
from gateway.core.notices.text import text
from gateway.core.phrases import say
from gateway.countries import Countries, Unusable
from gateway.settings import ConfigError, Settings, loads
from tests.support import mmdb

HEAD = """\
version: 1
public_url: https://packages.example.org
trusted_proxies: [192.0.2.10]
upstream: {kind: devpi, url: "http://127.0.0.1:3141"}
store: sqlite:state.db
appearance:
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Countries:
    place = tmp_path_factory.mktemp("geo") / "countries.mmdb"
    return Countries(mmdb.write(place, mmdb.COUNTRIES))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        pytest.param("81.2.69.160", "United Kingdom", id="MaxMind and DB-IP"),
        pytest.param("::ffff:81.2.69.160", "", id="IPv4 in IPv6 is no address of a country"),
        pytest.param("89.160.20.112", "Sweden", id="where it is registered"),
        pytest.param("67.43.156.1", "Bhutan", id="IPinfo"),
        pytest.param("175.16.199.1", "China", id="IPinfo's other one"),
        pytest.param("2a02:ffc0::1", "Gibraltar", id="IPv6"),
        pytest.param("216.160.83.56", "ZQ", id="a code without a name"),
        pytest.param("202.196.224.1", "", id="a continent alone"),
        pytest.param("8.8.8.8", "", id="not in it"),
        pytest.param("10.1.2.3", "", id="private, whatever the file says"),
        pytest.param("127.0.0.1", "", id="this machine"),
        pytest.param("fe80::1%eth0", "", id="link-local"),
        pytest.param("", "", id="none"),
        pytest.param("unix:", "", id="no address"),
    ],
)
def test_an_address_has_its_country(found: Countries, address: str, name: str) -> None:
    assert found.name(address) == name
    assert found.name(address) == name, "the same when it is asked for again"


NAMES = {
    "en": "United Kingdom",
    "de": "Vereinigtes Königreich",
    "es": "Reino Unido",
    "fr": "Royaume-Uni",
    "ja": "イギリス",
}


def test_countries_have_names_in_each_language(found: Countries) -> None:
    said = {code: say(found.name("81.2.69.160"), languages.catalogue(code)) for code in NAMES}
    assert said == NAMES
    assert set(NAMES) == set(languages.NAMES)


def test_a_notice_says_it(found: Countries) -> None:
    origin = Origin("81.2.69.160", "Firefox/140.0 Linux")
    letter = Letter("id", "mail", Notice.NEW_DEVICE, "alice", origin, "", 0.0)
    german = languages.catalogue("de")
    said = text(letter, "https://x", country=found.name, catalogue=german)
    assert "81.2.69.160 (Vereinigtes Königreich), " in said
    assert "81.2.69.160, " in text(letter, "https://x")


def settings(base: Path, line: str) -> Settings:
    return loads(f"{HEAD}  {line}\n".encode(), file="gateway.yaml", base=base)


def test_a_configuration_names_the_file(tmp_path: Path) -> None:
    mmdb.write(tmp_path / "geo.mmdb", mmdb.COUNTRIES)
    named = settings(tmp_path, "countries: geo.mmdb").appearance.country()
    assert named is not None and named("81.2.69.160") == "United Kingdom"
    mmdb.write(tmp_path / "geo.mmdb", {"81.2.69.0/24": {"country": {"iso_code": "SE"}}})
    assert named("81.2.69.161") == "United Kingdom", "until a reload reads it"
    assert settings(tmp_path, "name: x").appearance.country() is None


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("none.mmdb", "none.mmdb cannot be read (No such file or directory); a database of"),
        ("text.mmdb", "text.mmdb is no database in MaxMind's format; a database of countries"),
        ("empty.mmdb", "empty.mmdb is no database in MaxMind's format; a database"),
        ("cut.mmdb", "cut.mmdb is no database in MaxMind's format; a database"),
        ("networks.mmdb", "networks.mmdb says nothing of countries; a database of countries"),
        (".", "cannot be read (Is a directory); a database"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, file: str, said: str) -> None:
    (tmp_path / "text.mmdb").write_text("countries")
    (tmp_path / "empty.mmdb").write_bytes(b"")
    whole = mmdb.write(tmp_path / "whole.mmdb", mmdb.COUNTRIES).read_bytes()
    (tmp_path / "cut.mmdb").write_bytes(whole[:-40])
    asn = {"81.2.69.0/24": {"autonomous_system_number": 20712}}
    mmdb.write(tmp_path / "networks.mmdb", asn, kind="GeoLite2-ASN")
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, f"countries: {file}")
    assert "gateway.yaml:7:" in str(caught.value)
    assert said in str(caught.value)


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mmdb.write(tmp_path / "geo.mmdb", mmdb.COUNTRIES)
    monkeypatch.setattr(countries, "NEEDS", ("maxminddb_that_is_not_there", "babel"))
    with pytest.raises(Unusable, match=r"install 'index-gateway\[geoip\]'"):
        Countries(tmp_path / "geo.mmdb")
    with pytest.raises(ConfigError, match=r"7:.*install 'index-gateway\[geoip\]'"):
        settings(tmp_path, "countries: geo.mmdb")
