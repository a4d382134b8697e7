"""What is in the system, seen without opsnb, and what changed between two looks."""

from __future__ import annotations

import fnmatch
import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from psycopg import sql

from tests.servers.postgres import SUPERUSER
from tests.stranger import data

if TYPE_CHECKING:
    from tests.stranger.system import Shop

Snapshot = dict[str, Any]
"""Each thing's address, such as `redis 3 shop:orders.created:meta`, and what it is."""

_BY_ITSELF = (
    *(f"redis 3 shop:{queue}:*" for queue in data.BUSY),
    "redis 3 page:en:orders",
    "rows shop sales.done",
    # What BullMQ's workers and its clock renew by themselves.
    "redis 3 *:stalled-check",
    "redis 3 *:stalled",
)
"""What the service changes by itself while it is used. Globs, as `fnmatch` has them."""


_STALE_S = 0.6
"""How old the statistics may be that PostgreSQL before 15 shows: its collector answers with what it
wrote within the last half second."""


def take(shop: Shop) -> Snapshot:
    """Return everything that a runbook could change and that stays as it is otherwise."""
    began = time.monotonic()
    seen: Snapshot = {}
    for db in (0, 3):
        with shop.redis(db) as client:
            seen |= _keys(client, f"redis {db} ")
    with shop.redis() as client:
        known: Any = client.execute_command("CONFIG", "GET", "*")
        pairs = (
            known.items() if isinstance(known, dict) else zip(known[::2], known[1::2], strict=True)
        )
        seen |= {f"redis setting {name!r}": value for name, value in pairs}
        seen["redis logins"] = client.execute_command("ACL", "LIST")
    seen |= _processes(shop)
    seen |= {f"file {path.relative_to(shop.folder)}": digest(path) for path in _files(shop)}
    seen["pm2's own home"] = (shop.home / ".pm2").exists()
    if shop.postgres.major < 15:
        time.sleep(max(0.0, began + _STALE_S - time.monotonic()))
    seen |= _databases(shop)
    return {name: what for name, what in seen.items() if not _matches(name, _BY_ITSELF)}


def changed(before: Snapshot, after: Snapshot, *allowed: str) -> list[str]:
    """Return what is not as it was, but for the things whose addresses match `allowed`."""
    names = sorted(before.keys() | after.keys())
    return [
        name
        for name in names
        if before.get(name) != after.get(name) and not _matches(name, allowed)
    ]


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in map(_literal_brackets, globs))


def _literal_brackets(glob: str) -> str:
    return glob.replace("[", "[[]")


def _keys(client: redis.Redis, where: str) -> Snapshot:
    found: list[bytes] = sorted(client.scan_iter(count=1000))
    names = [name for name in found if not _matches(where + name.decode(), _BY_ITSELF)]
    kinds = [client.type(name) for name in names]
    with client.pipeline(transaction=False) as asked:
        for name, kind in zip(names, kinds, strict=True):
            _ask(asked, name, kind)
        return dict(zip((where + name.decode() for name in names), asked.execute(), strict=True))


def _ask(client: redis.Redis, key: bytes, kind: bytes | str) -> None:
    ask: dict[bytes | str, Callable[[], Any]] = {
        b"hash": lambda: client.hgetall(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda: client.xrange(key),
    }
    ask.get(kind, lambda: client.get(key))()


def _databases(shop: Shop) -> Snapshot:
    names = [name for (name,) in shop.query("SELECT datname FROM pg_database WHERE datallowconn")]
    seen: Snapshot = {f"database {name}": True for name in names}
    seen["roles"] = shop.query("SELECT rolname, rolsuper, rolcreatedb, rolconfig FROM pg_roles")
    seen["settings"] = shop.query(
        "SELECT name, setting FROM pg_settings WHERE name !~ '^in_hot_' ORDER BY 1"
    )
    seen["the administrator's session"] = shop.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'an administrator%'"
    )
    for database in names:
        if database.startswith("template") or database == SUPERUSER:
            continue
        for schema, table in shop.query(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
            database,
        ):
            of = sql.Identifier(schema, table).as_string()
            ((rows,),) = shop.query(
                f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {of} t", database
            )
            seen[f"rows {database} {schema}.{table}"] = rows
        for name, kind, node, valid in shop.query(
            "SELECT oid::regclass::text, relkind, relfilenode, indisvalid FROM pg_class"
            " LEFT JOIN pg_index ON indexrelid = oid WHERE relnamespace::regnamespace::text"
            " NOT LIKE 'pg\\_%' AND relnamespace::regnamespace::text <> 'information_schema'",
            database,
        ):
            seen[f"relation {database} {name}"] = (kind, node, valid)
        for name, when in shop.query(
            "SELECT relid::regclass::text, (last_analyze, last_vacuum)::text"
            " FROM pg_stat_user_tables",
            database,
        ):
            seen[f"upkeep {database} {name}"] = when
        seen[f"objects {database}"] = shop.query(
            "SELECT oid, (SELECT md5(string_agg(data, ''::bytea ORDER BY pageno))"
            " FROM pg_largeobject WHERE loid = m.oid) FROM pg_largeobject_metadata m",
            database,
        )
    return seen


def _processes(shop: Shop) -> Snapshot:
    return {
        f"process {name} {number}": (each["pid"], each["pm2_env"]["restart_time"])
        for name, all_ in shop.processes().items()
        for number, each in enumerate(all_)
    }


def _files(shop: Shop) -> list[Path]:
    kept = [shop.copy, shop.folder / "origin", shop.folder / "nightly", shop.folder / "backups"]
    kept += [shop.folder / "logs", shop.folder / "opsnb.toml"]
    live = (shop.log, shop.access_log, shop.folder / "logs" / "output.log")
    found = [path for folder in kept for path in (folder, *folder.rglob("*")) if path.is_file()]
    # Git's index is refreshed by a mere `git status`.
    return [path for path in found if path not in live and path.name != "index"]


def digest(path: Path) -> str:
    """Return what stands for a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
