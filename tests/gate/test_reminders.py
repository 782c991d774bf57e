"""What people are told on their way after a login, whichever form they used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.gate.served import Served
from tests.gate.test_devpi_evidence import carried, patch
from tests.gate.test_devpi_login import form_login, json_login
from tests.gate.yaml_config import by_session
from tests.support import servers

Serve = Callable[..., Served]


@pytest.fixture
def gentle(serve: Serve, devpi_server: servers.Index) -> Served:
    """A second factor is required in three days."""
    day = datetime.now(UTC).date() + timedelta(3)
    rules = by_session("devpi", "account")
    return serve("devpi", devpi_server.url, rules=rules, second_factor__required_from=str(day))


def test_devpis_own_form_leads_over_the_countdown(
    gentle: Served, devpi_server: servers.Index
) -> None:
    password = devpi_server.person("early")
    client = gentle.client()
    told = form_login(gentle, client, "early", password, goto="/early")
    assert (told.status, told.first("location")) == (303, "/+auth/?next=/early")
    assert {"ig-session", "auth_tkt"} <= set(client.cookies)
    page = client.browse("GET", told.first("location"))
    assert "Set up a second factor within" in page.text
    assert 'href="/early">Later</a>' in page.text
    assert client.browse("GET", "/early").status == 200
    assert patch(client, "early", **gentle.ours()).status == 200


def test_a_command_line_is_led_nowhere(gentle: Served, devpi_server: servers.Index) -> None:
    password = devpi_server.person("scripting")
    told = json_login(gentle, "scripting", password)
    assert (told.status, told.first("location")) == (200, "")
    token = told.json["result"]["password"]
    fields = carried("x-devpi-auth", "scripting", token)
    assert patch(gentle.client(), "scripting", **fields).status == 200


def test_from_that_day_on_the_form_leads_to_the_set_up(
    gentle: Served, devpi_server: servers.Index
) -> None:
    password = devpi_server.person("late")
    client = gentle.client()
    form_login(gentle, client, "late", password)
    gentle.offset += 4 * 86400
    assert patch(client, "late", **gentle.ours()).slug == "second_factor_required"
    told = form_login(gentle, gentle.client(), "late", password, goto="/late")
    assert (told.status, told.first("location")) == (303, "/+auth/enrol")
    assert "auth_tkt" not in told.all("set-cookie")


def test_who_has_a_factor_is_reminded_of_nothing(
    gentle: Served, devpi_server: servers.Index
) -> None:
    password = devpi_server.person("done")
    gentle.enrol("done")
    client = gentle.client()
    assert form_login(gentle, client, "done", password, goto="/done").first("location") == (
        "/+auth/verify"
    )
    assert gentle.verify(client, "done").first("location") == "/done"
