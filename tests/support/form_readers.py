"""How those who may stand behind read a form: what they find in a body, whole or broken off."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from pypiserver.bottle_wrapper.bottle import BaseRequest, FileUpload
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from webob import Request
from werkzeug.formparser import MultiPartParser


class Found(NamedTuple):
    """A field. filename: None for a value."""

    name: str
    value: bytes
    filename: str | None = None


Reader: TypeAlias = Callable[[bytes, str, int], list[Found]]


class Unread(Exception):
    """The reader refuses the body, so nothing is done by it."""


def _environ(body: bytes, content_type: str, length: int) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(length),
        "wsgi.input": io.BytesIO(body),
        "QUERY_STRING": "",
    }


def bottle(body: bytes, content_type: str, length: int) -> list[Found]:
    """As pypiserver reads it. length: what Content-Length says."""
    environ = _environ(body, content_type, length)  # keeps the files open
    try:
        items = list(BaseRequest(environ).POST.allitems())
    except Exception as exc:  # pypiserver answers 400 or 500
        raise Unread from exc
    return [
        Found(str(name), value.file.read(), str(value.raw_filename))
        if isinstance(value, FileUpload)
        else Found(str(name), _bytes(value))
        for name, value in items
    ]


def webob(body: bytes, content_type: str, length: int) -> list[Found]:
    """As devpi reads it."""
    environ = _environ(body, content_type, length)
    environ["CONTENT_LENGTH"] = str(min(length, len(body)))  # or it waits for the rest
    try:
        items = list(Request(environ).POST.items())
        return [
            Found(str(name), _bytes(value))
            if isinstance(value, str)
            else Found(str(name), value.file.read(), str(value.filename))
            for name, value in items
        ]
    except Exception as exc:
        raise Unread from exc


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


def werkzeug(body: bytes, content_type: str, length: int) -> list[Found]:
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    try:
        parser = MultiPartParser(max_form_parts=None, max_form_memory_size=None)
        fields, files = parser.parse(io.BytesIO(body), boundary, length)
    except Exception as exc:
        raise Unread from exc
    found = [Found(name, value.encode()) for name, value in fields.items(multi=True)]
    found += [
        Found(name, each.stream.read(), each.filename) for name, each in files.items(multi=True)
    ]
    return found


class _Parts:
    """Collects what python-multipart calls out."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self._head: dict[bytes, bytes] = {}
        self._name = self._value = self._data = b""

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, a, b: setattr(self, "_name", self._name + data[a:b]),
            "on_header_value": lambda data, a, b: setattr(self, "_value", self._value + data[a:b]),
            "on_header_end": self._header,
            "on_part_data": lambda data, a, b: setattr(self, "_data", self._data + data[a:b]),
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._head, self._data = {}, b""

    def _header(self) -> None:
        self._head[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end(self) -> None:
        _, options = parse_options_header(self._head.get(b"content-disposition"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        file = options.get(b"filename")
        self.found.append(
            Found(name, self._data, None if file is None else file.decode("utf-8", "replace"))
        )


def python_multipart(body: bytes, content_type: str, length: int) -> list[Found]:
    boundary = content_type.partition("boundary=")[2].strip('"')
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as exc:
        raise Unread from exc
    return parts.found


READERS: dict[str, Reader] = {
    "bottle": bottle,
    "webob": webob,
    "werkzeug": werkzeug,
    "python-multipart": python_multipart,
}
