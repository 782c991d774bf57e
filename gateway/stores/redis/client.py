"""Connections to a Redis, a Sentinel-watched Redis or a Redis Cluster.

Knows redis-py and its failures; knows no records. Nothing is sent twice: a write whose answer
was lost is reported as a failure, because a second run of it could tell something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from typing import Final, Protocol, TypeAlias, cast

import hiredis
from redis.asyncio import Connection, ConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, RedisClusterException, RedisError
from redis.typing import EncodableT

from gateway.core.store import StoreUnavailable
from gateway.stores.address import RedisAddress

_AT_ONCE: Final = 64

Word: TypeAlias = str | bytes | float | int


class _Pipeline(Protocol):
    def execute_command(self, *args: object) -> object: ...

    def execute(self, raise_on_error: bool = True) -> Awaitable[list[object]]: ...


class _Client(Protocol):
    def execute_command(self, *args: object, **options: object) -> Awaitable[object]: ...

    def pipeline(self, transaction: bool) -> _Pipeline: ...

    def aclose(self) -> Awaitable[None]: ...


class _Connection(Connection):
    """Has hiredis write commands, too; redis-py lets it only read answers here."""

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        name = cast("str", args[0])  # redis-py's own: "CONFIG GET" is two words
        words = (*name.encode().split(), *args[1:])
        return [hiredis.pack_command(words)]  # type: ignore[arg-type]  # typed as of one word


async def _together(client: _Client, *commands: Sequence[Word]) -> list[object]:
    """Commands on one connection, to the node of the first one's key; answers or exceptions."""
    if isinstance(client, RedisCluster):
        node = client.get_node_from_key(str(commands[0][3]))
        if node is None:
            raise RedisClusterException("no node has this slot")
        sent = [PipelineCommand(number, *words) for number, words in enumerate(commands)]
        await node.execute_pipeline(sent)
        return [one.result for one in sent]
    pipeline = client.pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)
    return await pipeline.execute(raise_on_error=False)


class RedisClient:
    """Sends commands; opened at the first one, and anew in a forked process or another loop.

    Args:
        patience: seconds after which a call fails.
    """

    def __init__(self, address: RedisAddress, *, patience: float) -> None:
        self._address: Final = address
        self._patience: Final = patience
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._left: list[_Client] = []
        self._client: _Client | None = None
        self._sentinel: Sentinel | None = None
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def send(self, *words: Word, **options: object) -> object:
        """One command.

        Raises:
            StoreUnavailable: no answer in time, or an answer that is an error.
        """
        async with self._patiently():
            return await self._send(*words, **options)

    async def send_many(self, commands: Iterable[Sequence[Word]]) -> list[object]:
        """Commands that read, sent together to each node; the answers in their order."""
        async with self._patiently(), self._connected() as client:
            pipeline = client.pipeline(transaction=False)
            for words in commands:
                pipeline.execute_command(*words)
            return await pipeline.execute()

    async def run(
        self, script: str, keys: Sequence[str], args: Sequence[str | bytes] = ()
    ) -> object:
        """One Lua script, by its hash where the node has it; done once enough replicas have it."""
        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        run = self._run_at_replicas if self._address.replicas else self._send
        async with self._patiently():
            try:
                return await run("EVALSHA", digest, len(keys), *keys, *args)
            except NoScriptError:
                return await run("EVAL", script, len(keys), *keys, *args)

    async def scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """The keys that match, of every primary, some at a time; one may come twice."""
        async with self._patiently(), self._connected() as client:
            nodes = client.get_primaries() if isinstance(client, RedisCluster) else [None]
        for node in nodes:
            options: dict[str, object] = {} if node is None else {"target_nodes": node}
            cursor: object = 0
            while True:
                words = ("SCAN", cast("int", cursor), "MATCH", pattern, "COUNT", 1000)
                cursor, keys = cast(
                    "tuple[object, list[bytes]]", await self.send(*words, **options)
                )
                if isinstance(cursor, dict):  # redis-py's answer for a Cluster
                    (cursor,) = cursor.values()
                yield keys
                if cursor == 0:
                    break

    async def close(self) -> None:
        if self._client is not None and self._home == (os.getpid(), asyncio.get_running_loop()):
            await self._client.aclose()
            for sentinel in self._sentinel.sentinels if self._sentinel is not None else ():
                await sentinel.aclose()
        self._client = None

    @property
    def cluster(self) -> bool:
        return self._address.mode == "cluster"

    async def _send(self, *words: Word, **options: object) -> object:
        async with self._connected() as client:
            return await client.execute_command(*words, **options)

    async def _run_at_replicas(self, *words: Word) -> object:
        """A script and WAIT, on one connection: WAIT tells of the writes of its own alone."""
        wanted = self._address.replicas
        wait = ("WAIT", wanted, int(self._patience * 500))
        async with self._connected() as client:
            answer, copies = await _together(client, words, wait)
            if isinstance(answer, MovedError):
                # Nothing was done. Any command that follows the redirection learns the way.
                await client.execute_command("EXISTS", words[3])
                answer, copies = await _together(client, words, wait)
        for failed in (answer, copies):
            if isinstance(failed, Exception):
                raise failed
        if cast("int", copies) < wanted:
            raise StoreUnavailable(f"Redis: {copies} of {wanted} replicas have it")
        return answer

    @contextlib.asynccontextmanager
    async def _patiently(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._patience):
                yield
        except TimeoutError:
            raise StoreUnavailable(f"Redis: no answer in {self._patience:g} s") from None
        except (RedisError, RedisClusterException, OSError) as error:
            raise StoreUnavailable(f"Redis: {type(error).__name__}: {error}"[:300]) from None

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Client]:
        """The client, with a place among those who ask at once."""
        home = (os.getpid(), asyncio.get_running_loop())
        if self._client is None or self._home != home:
            if self._client is not None:
                # Kept, not closed: its sockets belong to another process or another loop.
                self._left.append(self._client)
            self._home = home
            self._slots = asyncio.Semaphore(_AT_ONCE)
            self._client = self._connect()
        async with self._slots:
            if isinstance(self._client, RedisCluster):
                # redis-py sends commands to any node while it does not know the slots yet.
                await self._client.initialize()
            yield self._client

    def _connect(self) -> _Client:
        address = self._address
        common = self._common(address.user, address.password)
        match address.mode:
            case "cluster":
                nodes = [ClusterNode(host, port) for host, port in address.hosts]
                # After some MOVED replies redis-py would close every connection, those with a
                # command under way too; a slot that moved is learnt from its reply alone.
                common["reinitialize_steps"] = 0
                return cast("_Client", RedisCluster(startup_nodes=nodes, **common))  # type: ignore[arg-type]
            case "sentinel":
                self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
                    list(address.hosts),
                    sentinel_kwargs=self._common(address.sentinel_user, address.sentinel_password),
                    **{**common, "db": address.db},
                )
                return cast("_Client", self._sentinel.master_for(address.service))
        host, port = address.hosts[0]
        common |= {"host": host, "port": port, "db": address.db}
        if address.tls:
            return cast("_Client", Redis(**common))  # type: ignore[arg-type]
        pool = ConnectionPool(connection_class=_Connection, **common)  # type: ignore[arg-type]
        return cast("_Client", Redis.from_pool(pool))

    def _common(self, user: str, password: str) -> dict[str, object]:
        options: dict[str, object] = {
            "username": user or None,
            "password": password or None,
            # `_patiently` ends what takes too long. redis-py's way loses cancellations (gh-86296).
            "socket_timeout": None,
            "socket_connect_timeout": self._patience / 2,
            "socket_keepalive": True,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
        }
        if self._address.tls:
            options |= {"ssl": True, "ssl_ca_certs": self._address.ca or None}
        return options
