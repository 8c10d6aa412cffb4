"""Places: which broker and which store the settings name, and how they belong together. Nothing is opened here."""

from __future__ import annotations

from enum import Enum

from .celery_place import GROUP_TABLE, TASK_TABLE, CeleryPlace
from .config import Config
from .errors import ImproperlyConfigured
from .sqs_name import is_plain, queue_fault
from .url_text import without_password


class Kind(Enum):
    """What a URL leads to."""

    MEMORY = "memory"
    SQL = "sql"
    REDIS = "redis"
    KOMBU = "kombu"


_SCHEMES = {"memory": Kind.MEMORY, "redis": Kind.REDIS, "rediss": Kind.REDIS}
_SQL = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")
_KOMBU = (
    "amqp",
    "amqps",
    "pyamqp",
    "sqs",
    "filesystem",
    "confluentkafka",
    "gcpubsub",
    "azurestoragequeues",
    "qpid",
    "pyro",
)

_CELERYS = "db+"
"""How URLs of Celery's database backend begin."""
_RABBITMQ = ("amqp", "amqps", "pyamqp")
RABBITMQS_OWN = "amq."
"""How the names of queues begin that RabbitMQ lets nobody declare."""


def kind_of(url: str) -> Kind:
    """What `url` leads to. Raises ImproperlyConfigured for a scheme that is not known."""
    scheme = url.split(":", 1)[0].lower()
    plain = scheme.removeprefix("sqla+").removeprefix("sqlalchemy+").removeprefix("db+").split("+", 1)[0]
    if plain in _SQL:
        return Kind.SQL
    if scheme in _SCHEMES:
        return _SCHEMES[scheme]
    if plain in _KOMBU:
        return Kind.KOMBU
    known = ", ".join((*_SQL, *_SCHEMES, "amqp"))
    raise ImproperlyConfigured(
        f"{scheme}:// is not a broker or result backend that is known; known are {known}"
    )


def is_sqs(url: str) -> bool:
    """Whether `url` leads to Amazon SQS."""
    return url.partition(":")[0].lower() == "sqs"


def broker_url(conf: Config) -> str:
    """The broker's URL. Raises ImproperlyConfigured if there is none."""
    conf.read_environment()
    url = conf.broker_write_url or conf.broker_url
    if not url:
        raise ImproperlyConfigured(
            "no broker is configured. Write App(broker='sqlite:///backbeat.db'), or redis://, amqp://, postgresql://, mysql://; "
            "or set BACKBEAT_BROKER_URL."
        )
    return _secured(str(url), conf.broker_use_ssl)


def has_exchanges(conf: Config) -> bool:
    """Whether the broker leads messages on by itself: RabbitMQ does."""
    return conf.kept(_has_exchanges)


def _has_exchanges(conf: Config) -> bool:
    conf.read_environment()
    url = str(conf.broker_write_url or conf.broker_url or "")
    return url.partition(":")[0].lower() in _RABBITMQ


def check_queue(conf: Config, name: str) -> None:
    """Raise ImproperlyConfigured for the name of a queue that the broker keeps to itself, or cannot have."""
    options = conf.broker_transport_options or {}
    if is_plain(name) and not name.startswith(RABBITMQS_OWN) and "predefined_queues" not in options:
        return
    conf.read_environment()
    url = str(conf.broker_write_url or conf.broker_url or "")
    if is_sqs(url) and (fault := queue_fault(name, options)) is not None:
        raise ImproperlyConfigured(fault)
    if name.startswith(RABBITMQS_OWN) and has_exchanges(conf):
        raise ImproperlyConfigured(
            f"queue {name!r:.80} cannot be: queue names that begin with {RABBITMQS_OWN} are RabbitMQ's own"
        )


def store_url(conf: Config) -> str | None:
    """The URL of the result backend; the broker's where that is a store; None if there is none."""
    return conf.kept(_store_url)


def _store_url(conf: Config) -> str | None:
    broker = broker_url(conf)
    backend = _named_backend(conf)
    if backend:
        if uses_rpc(conf):
            if kind_of(broker) in (Kind.MEMORY, Kind.SQL):
                raise ImproperlyConfigured(
                    "rpc:// sends results back through amqp:// or redis://; leave the backend out here: results are kept where "
                    "messages are"
                )
            if is_sqs(broker):
                raise ImproperlyConfigured(
                    "rpc:// is not for sqs://, where each client would leave a queue behind; write App(backend='redis://...') or "
                    "postgresql://"
                )
            return None
        if kind_of(backend) is Kind.KOMBU:
            raise ImproperlyConfigured(
                f"{without_password(backend)} cannot hold results; use redis://, postgresql://, mysql:// or sqlite:///"
            )
        return _secured(str(backend), conf.redis_backend_use_ssl)
    return None if kind_of(broker) is Kind.KOMBU else broker


def celery_place(conf: Config) -> CeleryPlace | None:
    """Where results are kept so that Celery's database backend shares them: a URL of Celery's, `db+postgresql://...`, asks for it."""
    conf.read_environment()
    if not str(_named_backend(conf) or "").lower().startswith(_CELERYS):
        return None
    names, schemas = conf.database_table_names or {}, conf.database_table_schemas or {}
    return CeleryPlace(
        task=names.get("task") or TASK_TABLE,
        group=names.get("group") or GROUP_TABLE,
        task_schema=schemas.get("task"),
        group_schema=schemas.get("group"),
        pickled=conf.database_pickled_rows,
    )


def _named_backend(conf: Config) -> str | None:
    """The setting `result_backend`; where it is but the word for it, as Celery has it, the database of `database_url`."""
    backend: str | None = conf.result_backend
    if backend not in ("database", "db"):
        return backend
    if not conf.database_url:
        raise ImproperlyConfigured(
            f"result_backend = {backend!r} needs the setting database_url, such as postgresql://host/db"
        )
    return _CELERYS + str(conf.database_url).removeprefix(_CELERYS)


def _secured(url: str, setting: object) -> str:
    """A URL that says itself what the setting says of TLS, for whoever opens it."""
    if not setting or not url.startswith(("redis", "valkey", "amqp", "pyamqp")):
        return url
    from .tls import secured

    return secured(url, setting)


def uses_rpc(conf: Config) -> bool:
    """True if results are sent back as messages."""
    return conf.kept(_uses_rpc)


def _uses_rpc(conf: Config) -> bool:
    conf.read_environment()
    return str(conf.result_backend or "").partition(":")[0] == "rpc"


def is_one_store(conf: Config, store: str) -> bool:
    """True if messages, canvas and results are in one store, so that each step is one transaction or script."""
    return _same(broker_url(conf), store) and broker_prefix(conf) == result_prefix(conf)


def _same(broker: str, store: str) -> bool:
    kind = kind_of(broker)
    if kind is not kind_of(store):
        return False
    if kind is Kind.SQL:
        from .sql.engine import sql_url

        return sql_url(broker) == sql_url(store)
    if kind is Kind.REDIS:
        from .redis_client import place_of

        return place_of(broker)[0] == place_of(store)[0]
    return broker.rstrip("/") == store.rstrip("/")


def result_db(broker: str, store: str) -> int | None:
    """The database of the results on the broker's own Redis, if it is another one: one script reaches both (decisions K1)."""
    if kind_of(store) is not Kind.REDIS or kind_of(broker) is not Kind.REDIS:
        return None
    from .redis_client import place_of

    number = place_of(store)[1]
    return None if number == place_of(broker)[1] else number


def broker_prefix(conf: Config) -> str:
    """What stands in front of all keys of a Redis broker, as kombu's option says."""
    return str((conf.broker_transport_options or {}).get("global_keyprefix", ""))


def result_prefix(conf: Config) -> str:
    """The same for results; Celery puts an underscore behind it. Where nothing is said it is the broker's."""
    prefix = (conf.result_backend_transport_options or {}).get("global_keyprefix")
    if prefix is None:
        return broker_prefix(conf)
    return prefix if not prefix or prefix[-1] in ":_-." else f"{prefix}_"
