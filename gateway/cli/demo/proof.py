"""The demo proves itself before it says that it runs: one download through the gateway, and all
that `check --live` looks at."""

from __future__ import annotations

import hashlib
import http.client
import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from gateway.cli.demo.stage import PACKAGES, Demo, call
from gateway.cli.output import CommandFailed

_WITHIN: Final = 30.0  # seconds for one answer
_LINK: Final = re.compile(r'href="([^"#]+)#(md5|sha256)=([0-9a-f]+)"')
_BY_OTHERS: Final = "Another Python may do better: make clean demo PYTHON=python3.12, say."


def prove(stage: Demo) -> None:
    """Download a package as pip does, and look at everything else.

    Raises:
        CommandFailed: what is wrong.
    """
    page = f"{stage.index}{PACKAGES[0].name}/"
    links = _LINK.findall(_fetched(page).decode("utf-8", "replace"))
    if not links:
        raise CommandFailed(f"The page {page} names no file to download.", _BY_OTHERS)
    link, kind, digest = links[0]
    file = _fetched(urljoin(page, link))
    if hashlib.new(kind, file, usedforsecurity=False).hexdigest() != digest:
        raise CommandFailed(f"{link} arrived otherwise than {page} says.", _BY_OTHERS)
    call("check", "--live", "--quiet", "-c", str(stage.config))


def _fetched(url: str) -> bytes:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=_WITHIN)
    try:
        connection.request("GET", parts.path, headers={"Host": parts.netloc, "Accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise CommandFailed(f"The gateway did not answer {url}: {error!r}.", _BY_OTHERS) from None
    finally:
        connection.close()
    if answer.status != 200:
        said = body[:300].decode("utf-8", "replace").strip()
        raise CommandFailed(f"The gateway answered {url} with {answer.status}:\n{said}", _BY_OTHERS)
    return body
