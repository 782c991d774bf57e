"""Where mail addresses come from."""

from __future__ import annotations

import pytest

from gateway.core.errors import Refusal
from gateway.core.upstream import UpstreamResponse
from gateway.notify.mail import from_map, mail_address
from gateway.upstreams.devpi import Devpi


async def test_a_map_of_the_configuration_is_read_by_user_id() -> None:
    look_up = from_map({"Alice": "a@example.org"})
    assert await look_up("alice") == "a@example.org"
    assert await look_up("bob") is None


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (
            b'{"type":"userconfig","result":{"username":"a","email":"a@example.org"}}',
            "a@example.org",
        ),
        (b'{"result":{"email":" a@example.org "}}', "a@example.org"),
        (b'{"result":{"username":"a"}}', None),
        (b'{"result":{"email":""}}', None),
        (b'{"result":{"email":["a@example.org"]}}', None),
        (b'{"result":{"email":"a@example.org\\r\\nBcc: b@example.org"}}', None),
        (b'{"result":[]}', None),
        (b"[]", None),
        (b"<html>", None),
        (b"\xff", None),
    ],
)
def test_devpis_answer(body: bytes, found: str | None) -> None:
    said = Devpi().address_answer(UpstreamResponse(200, (), body))
    assert mail_address(said) == found


def test_a_failure_of_devpi_is_no_absence() -> None:
    known = b'{"result":{"email":"a@example.org"}}'
    assert Devpi().address_answer(UpstreamResponse(404, (), known)) == ""
    with pytest.raises(Refusal, match="upstream_broken"):
        Devpi().address_answer(UpstreamResponse(503, (), known))
