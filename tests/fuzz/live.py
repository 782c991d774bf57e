"""Whole requests through a running gateway to real index servers, with the password alone.

Whatever is sent, nothing at the index changes but what a plain upload may change. The state of
the index is compared before and after, and no answer hands out a credential.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Protocol

from gateway.cli.demo.processes import Children
from tests.fuzz.devpi_site import ACTS as DEVPI_ACTS
from tests.fuzz.devpi_site import DevpiSite
from tests.fuzz.pypiserver_site import PypiserverSite, acts
from tests.fuzz.sending import PATIENCE, outcome, refused_head, send
from tests.fuzz.share import Share
from tests.fuzz.whole import Act, dump, load, through_one_connection
from tests.support import gateways
from tests.support.servers import DevpiMaker
from tests.support.wsgi_servers import SERVERS, start_pypiserver_on

REQUESTS = 6  # of one input
SETTLED = 0.05
PLUGINS = ("devpi-lockdown", "devpi-web", "devpi-tokens")
WITHOUT: Mapping[str, tuple[str, ...]] = {
    "full": (),
    "plain": PLUGINS,
    **{f"only {each}": tuple(p for p in PLUGINS if p != each) for each in PLUGINS},
}


class Site(Protocol):
    """An index with somebody's things in it, and where requests to it are sent."""

    port: int

    @property
    def known(self) -> Mapping[str, bytes]:
        """What stands where there are marks in requests (`whole.fill`)."""
        ...

    def stamp(self) -> object:
        """Another value once anything has changed; cheap."""
        ...

    def state(self) -> object:
        """What there is. Asked when the stamp has changed."""
        ...

    def wrong(self, before: object, after: object) -> str:
        """What has changed that no upload may change, "" for nothing."""
        ...

    def handed_out(self, answer: bytes) -> bool:
        """Whether an answer holds what only a second factor earns."""
        ...


class Live:
    """The target: inputs name a site and hold what is sent there, one after the other."""

    name = ""
    patience = PATIENCE

    def __init__(self, sites: Mapping[str, Site]) -> None:
        self.share = Share(0.5)
        self._stack = ExitStack()
        self.sites = dict(sites)
        self._stamps: dict[str, tuple[object, object]] = {}

    def acts(self, random: Random) -> list[Act]:
        raise NotImplementedError

    def example(self, random: Random) -> bytes:
        site = random.choice(list(self.sites))
        sent = [through_one_connection(random, self.acts(random)) for _ in range(REQUESTS)]
        return json.dumps([site, dump(sent).decode()]).encode()

    def check(self, data: bytes) -> str:
        name, text = json.loads(data)
        site = self.sites.get(name) or next(iter(self.sites.values()))
        stamp, before = self._stamps.get(name) or (None, site.state())
        happened = set()
        for sent in load(text):
            answer = send(site.port, sent, site.known, patience=self.patience)
            self.share.count(not refused_head(answer))
            assert not site.handed_out(answer), (sent.text, answer)
            happened.add(outcome(answer))
        time.sleep(SETTLED)
        self._stamps[name] = (stamp, before)
        if site.stamp() != stamp:
            after = site.state()
            self._stamps[name] = (site.stamp(), after)
            wrong = site.wrong(before, after)
            assert not wrong, wrong
        return " ".join(sorted(happened))

    def close(self) -> None:
        self._stack.close()


class LiveDevpi(Live):
    """devpi with all of its plugins, with none, and with each alone."""

    name = "devpi"

    def __init__(self, sites: Mapping[str, Site] | None = None) -> None:
        super().__init__(sites or {})
        if sites is None:
            place = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            children = self._stack.enter_context(Children())
            maker = DevpiMaker(place)
            for number, (name, without) in enumerate(WITHOUT.items()):
                index = maker.start(children, str(number), without=without)
                gateway = self._stack.enter_context(
                    gateways.running(place / f"gateway{number}", "devpi", index.url)
                )
                self.sites[name] = DevpiSite(index, gateway)

    def acts(self, random: Random) -> list[Act]:
        return DEVPI_ACTS


class LivePypiserver(Live):
    """pypiserver on each of its servers, without passwords of its own: whatever gets there acts."""

    name = "pypiserver"

    def __init__(self, sites: Mapping[str, Site] | None = None) -> None:
        super().__init__(sites or {})
        if sites is None:
            place = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            children = self._stack.enter_context(Children())
            for name in SERVERS:
                index = start_pypiserver_on(name, children, place / name)
                gateway = self._stack.enter_context(
                    gateways.running(place / f"gateway-{name}", "pypiserver", index.url)
                )
                self.sites[name] = PypiserverSite(index, gateway)

    def acts(self, random: Random) -> list[Act]:
        return acts(random)
