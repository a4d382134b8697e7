# ruff: noqa: E501
"""Errors of Node services as they are written, and what each speaks of."""

from __future__ import annotations

import pytest

from opsnb.config.target import Target
from opsnb.handbook.error_causes import Cause, Places, cause_of

OWN = "    at run (/srv/app/src/report.js:12:9)\n    at async Worker.processJob (/srv/app/node_modules/bullmq/dist/cjs/classes/worker.js:394:28)"


def at(path: str, call: str = "Timeout._onTimeout") -> str:
    """A stack whose top frame is in a library, called by the service's code in BullMQ's worker."""
    return f"Error\n    at {call} ({path}:45:11)\n    at listOnTimeout (node:internal/timers:581:17)\n{OWN}"


PG = at("/srv/app/node_modules/pg-pool/index.js", "query")
PNPM = at("/app/node_modules/.pnpm/pg-pool@3.6.1_pg@8.11.3/node_modules/pg-pool/index.js")
IOREDIS = at("/app/node_modules/ioredis/built/Command.js")
AXIOS = at("/app/node_modules/axios/dist/node/axios.cjs", "AxiosError.from")
UNDICI = at("node:internal/deps/undici/undici", "node")
MYSQL = at("/app/node_modules/mysql2/lib/connection.js", "PoolConnection._notifyError")
MONGO = at("/app/node_modules/mongodb/lib/sdam/topology.js")

SAID: list[tuple[Cause, str, str]] = [
    # disks
    ("disk", "ENOSPC: no space left on device, write", ""),
    ("disk", "could not extend file \"base/1/2\": No space left on device", PG),
    ("disk", "EDQUOT: disk quota exceeded, open '/srv/out.pdf'", ""),
    # databases
    ("database", "db timeout", PG),
    ("database", "db timeout", ""),
    ("database", "job # failed: db timeout", ""),
    ("database", "timeout", PNPM),
    ("database", "timeout exceeded when trying to connect", PG),
    ("database", "timeout exceeded when trying to connect", ""),
    ("database", "Connection terminated unexpectedly", ""),
    ("database", "Connection terminated due to connection timeout", ""),
    ("database", "Query read timeout", ""),
    ("database", "canceling statement due to statement timeout", ""),
    ("database", "connect ECONNREFUSED 127.0.0.1:5432", ""),
    ("database", "connect ECONNREFUSED /var/run/postgresql/.s.PGSQL.5432", ""),
    ("database", "getaddrinfo ENOTFOUND postgres.internal", ""),
    ("database", "getaddrinfo EAI_AGAIN db", ""),
    ("database", "sorry, too many clients already", ""),
    ("database", "remaining connection slots are reserved for roles with the SUPERUSER attribute", ""),
    ("database", "the database system is starting up", ""),
    ("database", "terminating connection due to administrator command", ""),
    ("database", "deadlock detected", PG),
    ("database", "write CONNECT_TIMEOUT 10.0.0.4:5432", ""),
    ("database", "Max client connections reached", ""),
    ("database", "Knex: Timeout acquiring a connection. The pool is probably full. Are you missing a .transacting(trx) call?", ""),
    ("database", "ResourceRequest timed out", ""),
    ("database", "\nInvalid `prisma.user.findFirst()` invocation:\n\n\n  Timed out fetching a new connection from the connection pool. More info: http://pris.ly/d/connection-pool (Current connection pool timeout: 10, connection limit: 5)", ""),
    ("database", "\nInvalid `prisma.order.create()` invocation in\n/app/src/orders.ts:41:29\n\nCan't reach database server at `db-1`:`5432`\n\nPlease make sure your database server is running", ""),
    ("database", "Transaction API error: Unable to start a transaction in the given time.", ""),
    ("database", "SequelizeConnectionAcquireTimeoutError: Operation timeout", ""),
    ("database", "read ETIMEDOUT", MYSQL),
    ("database", "read ECONNRESET", MYSQL),
    ("database", "connect ETIMEDOUT", MYSQL),
    ("database", "Connection lost: The server closed the connection.", ""),
    ("database", "Lock wait timeout exceeded; try restarting transaction", ""),
    ("database", "ER_CON_COUNT_ERROR: Too many connections", ""),
    ("database", "MySQL server has gone away", ""),
    ("database", "Server selection timed out after 30000 ms", ""),
    ("database", "MongoServerSelectionError: connection timed out", ""),
    ("database", "connection timed out", MONGO),
    ("database", "Operation `inventories.find()` buffering timed out after 10000ms", ""),
    ("database", "SQLITE_BUSY: database is locked", ""),
    ("database", "pgbouncer: query_wait_timeout", ""),
    ("database", "could not connect to the database at 10.1.2.3", ""),
    # Redis
    ("redis", "Command timed out", IOREDIS),
    ("redis", "connect ETIMEDOUT", IOREDIS),
    ("redis", "connect ECONNREFUSED 127.0.0.1:6379", ""),
    ("redis", "getaddrinfo ENOTFOUND redis-master", ""),
    ("redis", "Connection is closed.", ""),
    ("redis", "Reached the max retries per request limit (which is 20). Refer to \"maxRetriesPerRequest\" option for details.", ""),
    ("redis", "Stream isn't writeable and enableOfflineQueue options is false", ""),
    ("redis", "OOM command not allowed when used memory > 'maxmemory'.", ""),
    ("redis", "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", ""),
    ("redis", "READONLY You can't write against a read only replica.", ""),
    ("redis", "UNBLOCKED force unblock from blocking operation, instance state changed", ""),
    ("redis", "LOADING Redis is loading the dataset in memory", ""),
    ("redis", "CLUSTERDOWN The cluster is down", ""),
    ("redis", "redis timeout after 500 ms while caching a database row", ""),
    # other services
    ("upstream", "timeout of 5000ms exceeded", AXIOS),
    ("upstream", "timeout of 5000ms exceeded", ""),
    ("upstream", "Request failed with status code 503", AXIOS),
    ("upstream", "Request failed with status code 401", AXIOS),
    ("upstream", "connect ECONNREFUSED 10.0.0.9:8080", AXIOS),
    ("upstream", "connect ECONNREFUSED 10.0.0.9:8080", ""),
    ("upstream", "read ECONNRESET", AXIOS),
    ("upstream", "getaddrinfo ENOTFOUND api.example.com", ""),
    ("upstream", "fetch failed", UNDICI),
    ("upstream", "Headers Timeout Error", UNDICI),
    ("upstream", "Connect Timeout Error (attempted address: 10.2.2.164:80, timeout: 10000ms)", ""),
    ("upstream", "terminated: other side closed, connection lost", UNDICI),
    ("upstream", "This operation was aborted", UNDICI),
    ("upstream", "socket hang up", ""),
    ("upstream", "network timeout at: https://api.example.com/v1/database/7", ""),
    ("upstream", "GET https://db.example.com/v1/database/7 timed out", ""),
    ("upstream", "Response code 502 (Bad Gateway)", ""),
    ("upstream", "502 <html>" + "the database lost its connection to redis " * 50, ""),
    ("upstream", "upstream answered 503", ""),
    ("upstream", "429 You exceeded your current quota", ""),
    ("upstream", "529 overloaded_error", ""),
    ("upstream", "ThrottlingException: Rate exceeded", ""),
    ("upstream", "certificate has expired", ""),
    ("upstream", "operation timed out", ""),
    ("upstream", "Navigation timeout of 30000 ms exceeded", ""),
    # workers
    ("worker", "job stalled more than allowable limit", ""),
    ("worker", "Missing lock for job 17. moveToFinished", ""),
    ("worker", "Unexpected exit code: null signal: SIGKILL", ""),
    ("worker", "Worker terminated due to reaching memory limit: JS heap out of memory", ""),
    # nothing tells to what
    ("connection", "read ECONNRESET", ""),
    ("connection", "write EPIPE", ""),
    ("connection", "connection lost", OWN),
    # the code and what it is fed
    ("code", "Cannot read properties of undefined (reading 'id')", OWN),
    ("code", 'duplicate key value violates unique constraint "users_pkey"', PG),
    ("code", 'relation "orders" does not exist', PG),
    ("code", "Invalid `prisma.user.create()` invocation: Unique constraint failed", ""),
    ("code", "Request failed with status code 404", AXIOS),
    ("code", "order 502 not found", OWN),
    ("code", "Error loading image", OWN),
    ("code", "database row 17 has no owner", OWN),
    ("code", "mailbox full", OWN),
    ("code", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "text", "stack"), SAID)
def test_an_error_speaks_of(cause: Cause, text: str, stack: str) -> None:
    assert cause_of(text, stack) == cause


def test_the_target_s_own_addresses_tell_whose_connection_it_is() -> None:
    target = Target(name="t").changed(
        redis_url="redis://cache-1:7001", database_url="postgresql://app@10.0.0.7:7002/app"
    )
    places = Places.of(target.changed(queues={"url": "redis://jobs.internal:7003"}))
    assert cause_of("connect ECONNREFUSED 10.9.9.9:7001", "", places) == "redis"
    assert cause_of("connect ECONNREFUSED 10.9.9.9:7003", "", places) == "redis"
    assert cause_of("getaddrinfo ENOTFOUND jobs.internal", "", places) == "redis"
    assert cause_of("connect ETIMEDOUT 10.9.9.9:7002", "", places) == "database"
    assert cause_of("connect ETIMEDOUT 10.0.0.7:8080", "", places) == "upstream"
    assert cause_of("connect EHOSTUNREACH 10.0.0.7", "", places) == "database"
