"""Uploads to devpi as a form, straight and with whatever names and fields a test wants."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from tests.support.http import Answer, Client

_BOUNDARY = "b0undary"
CONTENT_TYPE = f"multipart/form-data; boundary={_BOUNDARY}"


def form(fields: Mapping[str, str], content: tuple[str, bytes] | None = None) -> bytes:
    """A multipart body (RFC 7578). content: name and bytes of the file."""
    lines = []
    for name, value in fields.items():
        lines += [_part(f'name="{name}"'), value.encode()]
    if content is not None:
        lines += [_part(f'name="content"; filename="{content[0]}"'), content[1]]
    return b"\r\n".join([*lines, f"--{_BOUNDARY}--\r\n".encode()])


def _part(disposition: str) -> bytes:
    return f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n".encode()


def post(
    port: int,
    target: str,
    auth: tuple[str, str],
    fields: Mapping[str, str],
    content: tuple[str, bytes] | None = None,
) -> Answer:
    told = Client(port).post(
        target,
        auth=auth,
        body=form(fields, content),
        fields={"Content-Type": CONTENT_TYPE},
    )
    assert told.status == 200, (told.status, told.body)
    return told


def documentation(
    port: int, index: str, password: str, project: str, archive: bytes, version: str = "1.0"
) -> None:
    """Upload the documentation of a release. index: USER/NAME."""
    fields = {":action": "doc_upload", "name": project, "version": version}
    post(port, f"/{index}", (index.split("/")[0], password), fields, (f"{project}.zip", archive))


def archive(files: Mapping[str, str]) -> bytes:
    """A zip file of texts."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return made.getvalue()
