"""What every adapter promises, shown at the server it is for."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpRawServer

from gateway.core.errors import Refusal
from gateway.core.http.facts import Facts
from gateway.core.http.headers import dropped
from gateway.core.upstream import Attempt, Call, Credential, UpstreamResponse
from gateway.upstreams import UPSTREAMS, FormOptions
from tests.conftest import PYPISERVER_USERS
from tests.contracts.upstream_cases import Case, facts_of, form_server
from tests.support import servers
from tests.support.names import unused


@pytest.fixture(params=sorted(UPSTREAMS))
async def case(request: pytest.FixtureRequest, aiohttp_raw_server: AiohttpRawServer) -> Case:
    kind = request.param
    upstream = UPSTREAMS[kind](FormOptions())
    if kind == "devpi":
        index: servers.Index = request.getfixturevalue("devpi_server")
        name = unused("contract")
        person = Credential(name, index.person(name))
        return Case(upstream, index.url, person, ("/+login", False))
    if kind == "pypiserver":
        index = request.getfixturevalue("pypiserver")
        return Case(upstream, index.url, Credential("alice", PYPISERVER_USERS["alice"]))
    server = await aiohttp_raw_server(form_server, debug=False)
    url = str(server.make_url("")).rstrip("/")
    return Case(upstream, url, Credential("alice", "right"), ("/login", True))


def blank(*fields: tuple[str, str], method: str = "GET", path: str = "/") -> Facts:
    return Facts(method, path, path, "", fields, None)


def asked(case: Case, credential: Credential) -> Call:
    call = case.upstream.password_check(credential)
    assert call is not None
    return call


async def test_a_right_password_earns_a_credential(case: Case) -> None:
    calls = case.calls()
    reply = await calls.ask(asked(case, case.person))
    issued = case.upstream.password_answer(case.person, reply)
    assert issued is not None
    assert issued.credential.user in (case.person.user, "")
    await calls.close()


@pytest.mark.parametrize("secret", ["wrong", "", "right,123456", "ü€\U0001f511", "x" * 500])
async def test_a_wrong_password_earns_nothing(case: Case, secret: str) -> None:
    calls = case.calls()
    wrong = Credential(case.person.user, secret)
    reply = await calls.ask(asked(case, wrong))
    try:
        assert case.upstream.password_answer(wrong, reply) is None
    except Refusal as refusal:  # a server that chokes on it has not accepted it
        assert refusal.slug == "upstream_broken"
    await calls.close()


ODD = ("a\0b", "a\nb", "\ud800", "a/b", "x" * 300)


async def test_what_nobody_is_called_is_wrong_and_no_fault_of_the_index(case: Case) -> None:
    calls = case.calls()
    right = case.person
    odd = [Credential(one, "wrong") for one in ODD] + [Credential(right.user, one) for one in ODD]
    for wrong in odd:
        call = case.upstream.password_check(wrong) if case.upstream.kind != "form" else None
        if call is not None:
            assert case.upstream.password_answer(wrong, await calls.ask(call)) is None, wrong
    await calls.close()


@pytest.mark.parametrize("kind", ["devpi", "pypiserver"])
def test_no_part_of_a_password_is_taken_for_one_of_the_name(kind: str) -> None:
    """Sent as "alice:s3:cret", which is alice with the password "s3:cret"."""
    wrong = Credential("alice:s3", "cret")
    assert UPSTREAMS[kind](FormOptions()).password_check(wrong) is None
    assert UPSTREAMS[kind](FormOptions()).acceptance_check(wrong) is None


@pytest.mark.parametrize("status", [200, 204, 302, 404, 500, 503])
def test_an_answer_of_nothing_earns_nothing(case: Case, status: int) -> None:
    if (case.upstream.kind, status) == ("pypiserver", 200):
        return  # its yes is just this
    try:
        assert case.upstream.password_answer(case.person, UpstreamResponse(status, (), b"")) is None
    except Refusal as refusal:
        assert refusal.slug == "upstream_broken"


async def test_what_is_earned_is_accepted_and_read_back(case: Case) -> None:
    """The credential the gateway lends to a session is one carrier, read as itself."""
    calls = case.calls()
    reply = await calls.ask(asked(case, case.person))
    issued = case.upstream.password_answer(case.person, reply)
    assert issued is not None
    fields = tuple((k.lower(), v) for k, v in case.upstream.present(issued.credential))
    (carrier,) = case.upstream.carriers(blank(*fields))
    assert carrier.credential == issued.credential
    ask = case.upstream.acceptance_check(issued.credential)
    if ask is not None:
        assert case.upstream.acceptance_answer(issued.credential, await calls.ask(ask))
        for wrong in (
            Credential(case.person.user, "made up"),
            Credential("nobody", issued.credential.secret),
        ):
            told = await calls.ask(case.upstream.acceptance_check(wrong) or ask)
            assert not case.upstream.acceptance_answer(wrong, told)
    await calls.close()


def test_what_carries_credentials_is_named(case: Case) -> None:
    for name, value in case.upstream.present(Credential("u", "sessionid=x")):
        if name.lower() == "cookie":
            assert value.partition("=")[0] in case.upstream.session_cookies
        else:
            assert name.lower() in case.upstream.carrier_fields()


def test_a_client_cannot_send_the_gateways_own_fields(case: Case) -> None:
    for url in ("https://packages.example.org", "http://localhost:8080"):
        for name, value in case.upstream.own_fields(url, None):
            assert dropped(name.lower()), name
            assert value


@pytest.mark.parametrize("scheme", ["Bearer x", "Digest a=b", "Basic", "Basic !!", "x", ""])
def test_an_unknown_scheme_is_a_carrier_nobody_can_verify(case: Case, scheme: str) -> None:
    (carrier,) = case.upstream.carriers(blank(("authorization", scheme)))
    assert carrier.credential is None


def test_a_repeated_carrier_is_refused(case: Case) -> None:
    with pytest.raises(Refusal) as refused:
        case.upstream.carriers(blank(("authorization", "a"), ("authorization", "b")))
    assert refused.value.slug == "mixed_credentials"


NAMES = st.sampled_from(["authorization", "x-devpi-auth", "cookie", "x-other"])
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=4), st.binary(max_size=80))
def test_no_request_breaks_an_adapter(
    case: Case, fields: list[tuple[str, str]], body: bytes
) -> None:
    request = blank(*fields, method="POST")
    try:
        for carrier in case.upstream.carriers(request):
            assert carrier.credential is None or carrier.credential.secret
    except Refusal as refusal:
        assert refusal.slug == "mixed_credentials"
    attempt = case.upstream.read_login(request, body)
    assert attempt is None or (attempt.credential.user and attempt.credential.secret)
    for _, value in fields:
        case.upstream.cookie_issued(value)


async def test_a_login_is_read_back_as_it_is_written(case: Case) -> None:
    """What `login_call` sends says the same as what was read, and nothing else."""
    if case.login is None:
        assert case.upstream.read_login(blank(method="POST"), b"user=a&password=b") is None
        return
    target, interactive = case.login
    extra = (("username", case.person.user), ("password", "old"), ("csrf", "t"))
    attempt = Attempt(case.person, interactive, "", extra if interactive else ())
    request = blank(method="POST", path=target)
    call = case.upstream.login_call(request, attempt)
    again = case.upstream.read_login(facts_of(call), call.body)
    assert again is not None
    assert (again.credential, again.interactive) == (case.person, interactive)
    calls = case.calls()
    issued = case.upstream.login_answer(request, attempt, await calls.ask(call))
    assert issued
    assert all(one.lifetime for one in issued)
    wrong = Attempt(Credential(case.person.user, "wrong"), interactive, "", attempt.extra)
    told = await calls.ask(case.upstream.login_call(request, wrong))
    assert case.upstream.login_answer(request, wrong, told) == ()
    await calls.close()


def test_an_ordinary_answer_hands_nothing_out(case: Case) -> None:
    reply = UpstreamResponse(
        200, (("set-cookie", "theme=dark"), ("content-type", "text/html")), b"<p>"
    )
    attempt = Attempt(case.person, interactive=True)
    assert case.upstream.login_answer(blank(method="POST"), attempt, reply) == ()
    assert case.upstream.fresh_credential(blank(), reply) == (False, None)


def test_replies_to_its_command_line_never_lead_away(case: Case) -> None:
    assert "location" not in {name.lower() for name, _ in case.upstream.refusal_fields()}
