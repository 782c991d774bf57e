"""A TLS client that closes what it sends, TLS and TCP both, and reads on."""

from __future__ import annotations

import contextlib
import socket
import ssl


def ask(port: int, trusting: ssl.SSLContext, request: bytes, *, tls: bool = True) -> bytes:
    """All that comes for a request whose last bytes, `close_notify` and end of TCP are one packet.

    Args:
        tls: whether TLS is closed, too.

    Raises:
        ssl.SSLError: the other side did not close TLS.
    """
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    line = trusting.wrap_bio(received, to_send, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        while True:
            try:
                line.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(to_send.read())
                received.write(sock.recv(65536))
        line.write(request)
        if tls:
            with contextlib.suppress(ssl.SSLWantReadError):
                line.unwrap()
        sock.sendall(to_send.read())
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            try:
                piece = line.read(65536)
            except ssl.SSLWantReadError:
                came = sock.recv(65536)
                received.write(came) if came else received.write_eof()
            except ssl.SSLZeroReturnError:
                return answer
            else:
                if not piece:
                    return answer
                answer += piece
