"""The upstream of uploads: reads a body, answers with its SHA-256.

Run as `python -m benchmarks.sink PORT`. Blocking and small, so that it costs the load's
core as little as hashing allows.
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
import threading


def serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(1 << 20)
    view = memoryview(buffer)
    with connection:
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                got = connection.recv(65536)
                if not got:
                    return
                head += got
            head, _, body = head.partition(b"\r\n\r\n")
            found = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            left = int(found.group(1)) if found else 0
            digest = hashlib.sha256(body)
            left -= len(body)
            while left:
                count = connection.recv_into(buffer, min(left, len(buffer)))
                if not count:
                    return
                digest.update(view[:count])
                left -= count
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + digest.hexdigest().encode()
            )


def main(port: str) -> None:
    listener = socket.create_server(("127.0.0.1", int(port)))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])
