"""One exchange of the gateway's own with whatever listens at an address, read as strictly as the
forwarder reads answers.

For looking at what a configuration names; `gateway.upstreams.client` asks the index server
while the gateway runs. Knows connections and framing; knows no configuration.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from typing import Final

from gateway.core.upstream import Call
from gateway.proxy.http1.body import ChunkDecoder
from gateway.proxy.http1.response import AnswerHead, AnswerReader, BadAnswer
from gateway.proxy.upstream_pool import UpstreamAddress

WITHIN: Final = 10.0
"""Seconds for one exchange; what takes longer for its first page is told as such."""
_HEAD: Final = 65536
_BODY: Final = 1024 * 1024


async def exchange(endpoint: UpstreamAddress, call: Call) -> tuple[AnswerHead, bytes]:
    """Send one request on a connection of its own, and read the final answer.

    Raises:
        OSError, TimeoutError; BadAnswer, BadChunk: it cannot be read in exactly one way.
    """
    async with asyncio.timeout(WITHIN):
        if endpoint.path:
            reader, writer = await asyncio.open_unix_connection(endpoint.path)
        else:
            reader, writer = await asyncio.open_connection(
                endpoint.host, endpoint.port, ssl=endpoint.tls
            )
        try:
            writer.write(_request(endpoint, call))
            await writer.drain()
            data = b""
            answers = AnswerReader(_HEAD)
            while (head := answers.read(data)) is None or head.status < 200:
                if head is not None:
                    data = data[head.size :]
                    continue
                more = await reader.read(_HEAD)
                if not more:
                    raise BadAnswer("it ends within its head" if data else "it is empty")
                data += more
            return head, await _body(head, data[head.size :], reader)
        finally:
            writer.transport.abort()


def _request(endpoint: UpstreamAddress, call: Call) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (call.method.encode(), call.target.encode())]
    lines += [b"Host: " + endpoint.authority, b"Connection: close"]
    if call.body:
        lines.append(b"Content-Length: %d" % len(call.body))
    lines += [f"{name}: {value}".encode("latin-1") for name, value in call.fields]
    return b"\r\n".join([*lines, b"", call.body])


async def _body(head: AnswerHead, data: bytes, reader: asyncio.StreamReader) -> bytes:
    """The body as far as it is of use: up to its end or to a limit."""
    decoder = ChunkDecoder() if head.chunked else None
    content = b""
    while True:
        if decoder is None:
            content += data
        elif data:
            content += b"".join(decoder.feed(data)[1])
        over = decoder.done if decoder else head.bodiless or len(content) >= (head.length or 0)
        if (over and (decoder or head.length is not None or head.bodiless)) or len(content) > _BODY:
            return content
        data = await reader.read(_HEAD)
        if not data:
            if decoder or head.length is not None:
                raise BadAnswer("its body ends too early")
            return content


def reason(error: OSError) -> str:
    """Why something cannot be reached, in the system's words."""
    number = error.errno if error.errno in errno.errorcode else None
    return os.strerror(number) if number else error.strerror or str(error) or "no answer"


def tls(error: ssl.SSLError) -> str:
    """What is wrong with the TLS of an address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return "it does not speak TLS as it should"
