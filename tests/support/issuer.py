"""An issuer of identity tokens on loopback, with real keys: what GitHub and GitLab are to a job.

It serves discovery, its keys, and the address at which a GitHub job asks for its token.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

REQUEST_TOKEN = "request token of the job"


def rsa(kid: str, bits: int = 2048) -> RSAKey:
    return RSAKey.generate_key(bits, {"kid": kid})


def ec(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


def ed(kid: str) -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": kid})


def public(key: Key, **more: object) -> dict[str, Any]:
    """A key as its issuer publishes it."""
    return {**key.as_dict(private=False), **more}


def signed(
    key: Key, claims: Mapping[str, object], algorithm: str = "RS256", **header: object
) -> str:
    """A token of these claims. header: more of it, None leaves out."""
    whole = {"alg": algorithm, "typ": "JWT", "kid": key.kid, **header}
    full = {name: value for name, value in whole.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(full, json.dumps(claims), key, registry=registry)


def times(now: float, lives: float = 300) -> dict[str, object]:
    return {"iat": int(now), "nbf": int(now), "exp": int(now + lives), "jti": secrets.token_hex(8)}


def github(now: float, audience: str, **changes: object) -> dict[str, object]:
    """What GitHub says of a job; None leaves out."""
    said = {
        **times(now),
        "aud": audience,
        "sub": "repo:Acme/Foo:ref:refs/tags/v1",
        "repository": "Acme/Foo",
        "repository_owner": "Acme",
        "repository_owner_id": "4711",
        "job_workflow_ref": "Acme/Foo/.github/workflows/release.yml@refs/tags/v1",
        "ref": "refs/tags/v1",
        "sha": "c0ffee",
        "event_name": "push",
        "run_id": "99",
        "run_attempt": "1",
        "actor": "alice",
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def gitlab(now: float, audience: str, host: str, **changes: object) -> dict[str, object]:
    """What a GitLab instance says of a job."""
    said = {
        **times(now),
        "aud": audience,
        "sub": "project_path:acme/group/foo:ref_type:tag:ref:v1",
        "project_path": "acme/group/foo",
        "project_id": "17",
        "ci_config_ref_uri": f"{host}/acme/group/foo//.gitlab-ci.yml@refs/tags/v1",
        "ref_path": "refs/tags/v1",
        "sha": "c0ffee",
        "pipeline_id": "99",
        "job_id": "100",
        "user_login": "alice",
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


class Issuer:
    """keys: those it publishes. says: changes of its discovery document. asked: how often each
    path was. job: what it says of the job that asks for its token."""

    def __init__(self) -> None:
        self.key: Key = rsa("first")
        self.keys: list[dict[str, Any]] = [public(self.key)]
        self.says: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self.job: dict[str, object] = {}
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def token(self, claims: Mapping[str, object], **more: Any) -> str:
        return signed(self.key, {"iss": self.url, **claims}, **more)

    def env(self) -> dict[str, str]:
        """What a job on GitHub finds in its environment."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/job?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        }

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def wait(self) -> None:
        assert self._ready.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._keys)
        app.router.add_get("/job", self._job)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _discovery(self, request: web.Request) -> web.Response:
        self.asked["discovery"] += 1
        said = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return web.json_response(said | self.says)

    async def _keys(self, request: web.Request) -> web.Response:
        self.asked["keys"] += 1
        return web.json_response({"keys": self.keys})

    async def _job(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization", "").lower() != f"bearer {REQUEST_TOKEN}":
            return web.json_response({"message": "no"}, status=401)
        self.asked["job"] += 1
        claims = github(time.time(), request.query["audience"]) | self.job
        return web.json_response({"value": self.token(claims)})


@contextmanager
def running() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = threading.Thread(target=issuer.run, daemon=True)
    thread.start()
    issuer.wait()
    try:
        yield issuer
    finally:
        issuer.stop()
        thread.join(20)
        assert not thread.is_alive()


def publisher(issuer: Issuer, *projects: str, **more: Any) -> dict[str, Any]:
    """A publisher of the configuration, for workflows of `issuer`."""
    return {
        "name": "release of foo",
        "kind": "github",
        "issuer": issuer.url,
        "repository": "acme/foo",
        "owner_id": 4711,
        "workflow": "release.yml",
        "projects": list(projects),
        **more,
    }
