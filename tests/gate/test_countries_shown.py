"""A whole gateway with a database of countries says where a login came from."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import PYPISERVER_USERS
from tests.gate.conftest import Serve
from tests.support import mmdb, servers

ELSEWHERE = {"X-Forwarded-For": "81.2.69.160"}


def test_the_sessions_of_a_person_name_their_country(
    serve: Serve, pypiserver: servers.Index, tmp_path: Path
) -> None:
    file = mmdb.write(tmp_path / "countries.mmdb", mmdb.COUNTRIES)
    served = serve(
        "pypiserver",
        pypiserver.url,
        trusted_proxies=["127.0.0.1"],
        appearance__countries=str(file),
    )
    served.enrol("carol")
    browser = served.browse_in("carol", PYPISERVER_USERS["carol"])
    here = browser.browse("GET", "/+auth/activity").text
    assert "127.0.0.1" in here and "127.0.0.1 (" not in here
    form = {":action": "remove_pkg", "name": "nothing", "version": "1"}
    wrong = ("carol", f"{PYPISERVER_USERS['carol']},000000")
    told = served.client().post("/", form=form, auth=wrong, fields=ELSEWHERE)
    assert told.slug == "otp_invalid"
    shown = browser.browse("GET", "/+auth/activity", fields={"Accept-Language": "de"}).text
    assert "81.2.69.160 (Vereinigtes Königreich)" in shown
