"""Redis client: opens one for a kombu or Celery URL, turns its errors into ours, and runs the scripts of commit/*.lua.

Needs Redis 6.2 or Valkey. Not for Redis Cluster: a script touches queues, and kombu's queue names cannot share a hash slot.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from .errors import EncodeError, ImproperlyConfigured, Unavailable
from .tls import certificate_fault, warn_unless_verified, with_query, with_tls
from .url_text import error_text, without_password

try:
    import redis
    from redis import Redis as Redis  # noqa: PLC0414 - our other files take it from here, after this check
    from redis import RedisError as RedisError  # noqa: PLC0414 - the same
    from redis import ResponseError as ResponseError  # noqa: PLC0414 - the same
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise ImproperlyConfigured(
        "a redis:// URL needs the Redis client: pip install 'backbeat[redis]'"
    ) from error

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 4.0
ANSWER_SECONDS = 5.0
"""How long a command may take: less than a lease, after which what was taken comes back to others anyway; and less than the ten
seconds in which a client command has to say that nobody answers (decisions B15)."""
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
    "redis+socket": "unix",
    "socket": "unix",
    "unix": "unix",
}


def open_redis(url: str) -> Redis:
    """A client for a broker or result URL: redis://, rediss://, redis+socket:///path?virtual_host=0. Connects at its first command.

    Raises ImproperlyConfigured, without the password, for what is not such a URL.
    """
    try:
        plain, tls = with_tls(url, None)
        warn_unless_verified(tls, without_password(url))
        client = Redis.from_url(
            redis_url(plain if tls is None else with_query(plain, tls.query())),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            # what was sent may have been done; who asked decides whether to ask again (see Commit)
            retry=Retry(NoBackoff(), 0),
            # replies have one form in all versions of the client, and old servers and proxies need no HELLO
            protocol=2,
        )
        # made and thrown away: an option that nobody knows shows here and not at the first command
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, TypeError) as error:
        raise ImproperlyConfigured(
            f"{without_password(url)} is not a Redis URL: {error_text(error, url)}"
        ) from None
    return client


def redis_url(url: str) -> str:
    """The URL as the client library spells it: Celery's names for sockets, and databases are replaced."""
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None:
        raise ImproperlyConfigured(
            f"{without_password(url)} is not a Redis URL. Write redis://host:6379/0 or rediss://host:6379/0."
        )
    if scheme != "unix":
        if not parts.hostname:
            raise ImproperlyConfigured(f"{without_password(url)} names no host. Write redis://host:6379/0.")
        if parts.path.strip("/") and not parts.path.strip("/").isdigit():
            raise ImproperlyConfigured(
                f"{without_password(url)}: a Redis database is a number. Write redis://host:6379/0."
            )
    query = dict(parse_qsl(parts.query))
    if "virtual_host" in query:
        query["db"] = query.pop("virtual_host").strip("/") or "0"
    return f"{scheme}://{parts.netloc}{parts.path}" + (f"?{urlencode(query)}" if query else "")


def place_of(url: str) -> tuple[str, int]:
    """Which server a URL leads to, and the number of the database there."""
    kwargs = open_redis(url).connection_pool.connection_kwargs
    server = kwargs.get("path") or f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}"
    return str(server), int(kwargs.get("db") or 0)


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn errors of the client library into Unavailable; they do not hold the password."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise Unavailable(f"Redis cannot be reached: {certificate_fault(error) or error}") from error
    except ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            raise EncodeError(f"Redis refuses it: {error}") from error
        raise Unavailable(f"Redis refused: {error}") from error
    except RedisError as error:
        # out of memory, read-only replica, loading, busy, no permission: nothing was written
        raise Unavailable(f"Redis refused: {error}") from error


def warn_if_evicting(client: Redis) -> None:
    """One warning if this Redis may throw away messages or canvases when its memory is full (decisions K11)."""
    try:
        with unavailable():
            memory: Any = client.info("memory")
    except Unavailable as error:
        if isinstance(error.__cause__, ResponseError):
            return  # we may not ask; that must not keep us from working
        raise
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if memory.get("maxmemory") and policy != "noeviction":
        logger.warning(
            "Redis may evict keys when its memory is full (maxmemory-policy %s), so tasks and canvases can be lost: "
            "set maxmemory-policy noeviction",
            policy,
            extra={"action": "redis_evicts"},
        )


class Script:
    """A script that the server keeps; its parts are joined, as scripts cannot import. It takes no keys; most take one JSON argument."""

    def __init__(self, parts: Sequence[str]) -> None:
        folder = resources.files(__package__).joinpath("commit")
        text = "\n".join(folder.joinpath(part).read_text(encoding="utf-8") for part in parts)
        self._text = text.encode()
        self._sha = hashlib.sha1(self._text).hexdigest()  # noqa: S324 - that is what Redis names scripts by

    def __call__(self, client: Redis, argument: Mapping[str, Any]) -> Any:
        """Run it with one JSON argument. Raises Unavailable."""
        text, server = self.encoded(argument), cast("Any", client)
        with unavailable():
            try:
                return server.execute_command("EVALSHA", self._sha, 0, text)
            except redis.exceptions.NoScriptError:
                return server.execute_command("EVAL", self._text, 0, text)

    @staticmethod
    def encoded(argument: Mapping[str, Any]) -> bytes:
        """A JSON argument as it is sent."""
        try:
            return msgspec.json.encode(argument)
        except (TypeError, ValueError, OverflowError):
            # an id that somebody made of half a character, or of a class of texts of his own, must not stop the batch it is in
            text = json.dumps(argument, ensure_ascii=False, separators=(",", ":"))
            return text.encode("utf-8", "surrogatepass")

    def begin(self, line: Line, *arguments: bytes | str | int) -> Callable[[], Any]:
        """Have it run. What is returned waits for its end, and must be called. Both raise Unavailable."""
        line.ask("EVALSHA", self._sha, 0, *arguments)

        def end() -> Any:
            try:
                return line.answer()
            except Unavailable as error:
                if not isinstance(error.__cause__, redis.exceptions.NoScriptError):
                    raise
            line.ask("EVAL", self._text, 0, *arguments)
            return line.answer()

        return end


class Line:
    """A connection that its user keeps: to borrow one of the client's for each call takes half as long as the call. For one thread.

    It is opened when it is needed, and anew if the server has closed it meanwhile.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._connection: Any = None

    def ask(self, *command: bytes | str | int) -> None:
        """Send a command; `answer` must follow. Raises Unavailable."""
        with unavailable(), self._spoilt_by_errors():
            if self._connection is None:
                self._connection = self._client.connection_pool.get_connection()
            elif self._is_stale():
                self._connection.disconnect()  # it connects again by itself
            self._connection.send_command(*command)

    def answer(self) -> Any:
        """The answer. Raises Unavailable, and EncodeError for what the server refuses as it is."""
        with unavailable(), self._spoilt_by_errors():
            return self._connection.read_response()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._client.connection_pool.release(self._connection)
            self._connection = None

    def _is_stale(self) -> bool:
        try:
            return bool(self._connection.can_read(0))  # nothing was asked, so it is the end
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            return True

    @contextmanager
    def _spoilt_by_errors(self) -> Iterator[None]:
        try:
            yield
        except ResponseError:
            raise  # that is an answer
        except BaseException:
            if self._connection is not None:
                self._connection.disconnect()  # an answer may still come
            raise


@cache
def script(*parts: str) -> Script:
    """The script of these parts, read once."""
    return Script(parts)
