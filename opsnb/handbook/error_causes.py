"""The cause that an error points to: Redis, a database, another service, a worker, the code.

Jobs' reasons and lines of logs are judged alike: first by words that only one system uses, then by
the library at the top of the stack, then by a name near a word of trouble, then by an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from opsnb.config.target import Target
from opsnb.systems.cache.settings import Cache
from opsnb.systems.database.settings import Database
from opsnb.systems.queues.settings import Queues

Cause = Literal["worker", "redis", "database", "upstream", "connection", "child", "disk", "code"]
"""`connection` was lost or refused, by an unknown peer; `disk` is full; `child` is a job of a flow
whose child failed; `code` is everything else."""

_MOST = 2000  # characters of an error that are read: a long text holds every word
_PAGE = re.compile(r"<(?:!doctype|html|\?xml)\b", re.IGNORECASE)
_URL = re.compile(r"\b(?:https?|wss?)://\S+")
_FRAME = re.compile(r"^\s*at (?P<place>.+)$", re.MULTILINE)
_PACKAGE = re.compile(r"node_modules[\\/]+((?:@[^\\/]+[\\/]+)?[^\\/]+)[\\/]")
_INSIDE = ("node:", "(internal", "<anonymous>", "(events.js", "(timers.js", "(net.js", "native)")

LOST = re.compile(
    r"ECONN(?:REFUSED|RESET|ABORTED)|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN"
    r"|\blost\b|not available|not answer|no connection|timed? ?out"
    r"|connection (?:is |was )?(?:closed|terminated|refused|reset)"
    r"|LOADING|READONLY|MISCONF|OOM command|the database system is|too many (?:clients|connections)"
    r"|remaining connection slots",
    re.IGNORECASE,
)
"""Words of a lost connection: a line of a log that has one is read whatever its level."""

REDIS_IS_FULL = re.compile(r"OOM command|maxmemory")
"""Redis reports that its memory is used up."""

# The patterns below, but for `_REDIS_SAYS`, search a text in lower case: that is several times as
# fast as ignoring the case.
_TROUBLE = re.compile(
    r"""
    econn(?:refused|reset|aborted) | etimedout | epipe | ehostunreach | enetunreach | enotfound
    | eai_again | connect_timeout | connection_(?:closed|ended|destroyed)
    | \blost\b | not[ ]available | unavailable | not[ ]answer | no[ ]connection | \bunreachable\b
    | can(?:'t|not|[ ]not)[ ](?:reach|connect)
    | (?:could[ ]not|unable[ ]to|failed[ ]to)[ ]connect
    | timed?[ -]?out | time[ ]?limit
    | connection[ ](?:to[ ]\S+[ ])?(?:is[ ]|was[ ]|has[ ]been[ ])?
      (?:closed|terminated|refused|reset|lost|ended|destroyed|failed)
    | too[ ]many[ ](?:clients|connections) | remaining[ ]connection[ ]slots
    | oom[ ]command | the[ ]database[ ]system[ ]is | deadlock | lock[ ]wait
    | starting[ ]up | shutting[ ]down | pool[ ]is[ ](?:closed|full|draining)
""",
    re.VERBOSE,
)
_WORKER = re.compile(
    r"stalled more than allowable|(?:lost|missing) lock for job|could not renew lock"
    r"|unexpected exit code|heap out of memory|err_worker_out_of_memory"
    r"|worker terminated due to reaching memory limit|\bsigkill\b|child process exited",
)
FAILED_CHILD = re.compile(r"^(?:Error: )?child (?P<key>\S+) failed\b")
"""BullMQ's reason for a job that fails because a child job of its flow failed."""
_REDIS_SAYS = re.compile(
    rf"""
    {REDIS_IS_FULL.pattern.replace(" ", "[ ]")} | \bMISCONF\b | \bREADONLY\b | \bLOADING[ ]Redis
    | \bCLUSTERDOWN\b | \bNOREPLICAS\b | \bMASTERDOWN\b | \bBUSY[ ]Redis | \bWRONGPASS\b
    | \bNOAUTH\b | \bUNBLOCKED[ ]force | \buser_script\b | MaxRetriesPerRequestError
    | max[ ]retries[ ]per[ ]request[ ]limit
    | Stream[ ]isn't[ ]writeable[ ]and[ ]enableOfflineQueue | ClientOfflineError
    | SocketClosedUnexpectedlyError | ^(?:Error:[ ])?Connection[ ]is[ ]closed\.?$
    | All[ ]sentinels[ ]are[ ]unreachable
    """,
    re.VERBOSE | re.MULTILINE,
)
_DISK_SAYS = re.compile(r"\b(?:ENOSPC|EDQUOT)\b|No space left on device|Disk quota exceeded", re.I)
_DATABASE_SAYS = re.compile(
    r"""
    remaining[ ]connection[ ]slots | the[ ]database[ ]system[ ]is | sorry,[ ]too[ ]many[ ]clients
    | max[ ]client[ ]connections[ ]reached | no[ ]more[ ]connections[ ]allowed | query_wait_timeout
    | canceling[ ]statement[ ]due[ ]to | deadlock[ ](?:detected|found) | could[ ]not[ ]serialize
    | terminating[ ]connection | server[ ]closed[ ]the[ ]connection | lock[ ]wait[ ]timeout
    | timeout[ ]exceeded[ ]when[ ]trying[ ]to[ ]connect | query[ ]read[ ]timeout
    | idle-in-transaction[ ]timeout | connection[ ]terminated
    | timeout[ ]acquiring[ ]a[ ]connection | resourcerequest[ ]timed[ ]out
    | \bp(?:1001|1002|1008|1017|2024|2028)\b
    | fetching[ ]a[ ](?:new[ ])?connection[ ]from[ ]the[ ](?:connection[ ])?pool
    | unable[ ]to[ ]start[ ]a[ ]transaction[ ]in[ ]the[ ]given[ ]time
    | transaction[ ]already[ ]closed
    | sequelize(?:connection\w*|timeout)error | connectionacquiretimeouterror
    | er_(?:con_count|lock_wait_timeout|lock_deadlock|server_shutdown|too_many_user_connections)
    | protocol_(?:connection_lost|sequence_timeout) | server[ ]has[ ]gone[ ]away
    | mongo\w*(?:network|selection|timeout|poolcleared|notconnected|topologyclosed)\w*error
    | server[ ]selection[ ]timed[ ]out | buffering[ ]timed[ ]out | topology[ ]is[ ]closed
    | sqlite_busy | database[ ]is[ ]locked
    """,
    re.VERBOSE,
)
_REDIS_NAMES = re.compile(r"redis|valkey|dragonfly|keydb|elasticache|bullmq|:6379\b|:26379\b")
_DATABASE_NAMES = re.compile(
    r"postgres|\bpg\b|pgsql|pgbouncer|database|\bdb\b|sql\b|\bsql|mariadb|mongo|prisma|typeorm"
    r"|sequelize|\bknex\b|drizzle|mikro-?orm|:5432\b|:6432\b|:3306\b|:27017\b|:1433\b",
)
_REDIS_LIBRARIES = re.compile(
    r"^(?:ioredis|redis|@redis/|iovalkey|@valkey/|redis-parser|standard-as-callback)"
)
_DATABASE_LIBRARIES = re.compile(
    r"^(?:pg|pg-\w+|postgres|knex|tarn|@?prisma(?:/.*)?|typeorm|sequelize|sequelize-pool"
    r"|mysql2?|mariadb|mongodb|mongoose|drizzle-orm|@mikro-orm/.*|@neondatabase/.*|slonik|objection"
    r"|kysely|mssql|tedious|oracledb|better-sqlite3|sqlite3|generic-pool)$"
)
_HTTP_LIBRARIES = re.compile(
    r"^(?:axios|undici|node-fetch|cross-fetch|got|ky|superagent|request|needle|follow-redirects"
    r"|nodemailer|openai|@anthropic-ai/.*|@google/.*|@google-cloud/.*|googleapis-common|gaxios"
    r"|google-gax|@grpc/.*|stripe|twilio|@sendgrid/.*|@aws-sdk/.*|@smithy/.*|aws-sdk|@azure/.*"
    r"|@slack/.*|@octokit/.*)$"
)
_STATUS = r"(?:401|403|407|408|425|429|5\d\d)"
_UPSTREAM = re.compile(
    rf"""
    upstream | rate.?limit | quota | overloaded | too[ ]many[ ]requests | throttl | slowdown
    | bad[ ]gateway | service[ ]unavailable | gateway[ ]time | internal[ ]server[ ]error
    | socket[ ]hang[ ]up | fetch[ ]failed | network[ ]timeout[ ]at | und_err | headers?timeout
    | bodytimeout | connecttimeout | esockettimedout | certificate | \beproto\b | axioserror
    | operation[ ]was[ ]aborted | apiconnection | greeting[ ]never[ ]received
    | status(?:[ ]?code)?\W{{0,3}}{_STATUS}\b | response[ ]code\W{{0,3}}{_STATUS}\b
    | \bhttp(?:/\d(?:\.\d)?)?\W{{0,3}}{_STATUS}\b
    | (?:^|error\W{{1,2}}|\bgot\W+|(?:answer|respond|repli|return|fail)(?:ed|s)\W+(?:with\W+)?)
      (?:429|50[234]|52[0-9]|529)\b
    """,
    re.VERBOSE,
)
_TIMEOUT = re.compile(r"timed?[ -]?out|etimedout")
_NETWORK = re.compile(
    r"econn(?:refused|reset|aborted)|epipe|ehostunreach|enetunreach|enotfound|eai_again"
    r"|connection (?:is |was )?(?:closed|terminated|refused|lost|reset)|too many connections",
)
_ADDRESS = re.compile(r"(?:econn\w+|e\w*unreach|enotfound|eai_again|etimedout) (?!\()\S+")


@dataclass(frozen=True)
class Places:
    """The addresses of a target's own Redis and database, to recognise them in errors."""

    redis: re.Pattern[str]
    database: re.Pattern[str]

    @classmethod
    def of(cls, target: Target) -> Places:
        """Return those of `target`."""
        return cls(
            _place(Cache.of(target).url, Queues.of(target).url),
            _place(Database.of(target).url, Database.of(target).direct_url),
        )


def _place(*urls: str) -> re.Pattern[str]:
    """Return a pattern that finds the address of one of `urls`."""
    patterns = []
    for url in filter(None, urls):
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            continue  # several hosts, or libpq's words
        if port:
            patterns.append(rf":{port}\b")
        if host and not re.fullmatch(r"localhost|127\..*|::1", host):
            patterns.append(rf"(?<![\w.-]){re.escape(host.lower())}(?![\w.-]|:\d)")
    return re.compile("|".join(patterns) or r"(?!)")


_NOWHERE = Places(_place(), _place())


@lru_cache(maxsize=20_000)
def cause_of(text: str, stack: str = "", places: Places = _NOWHERE) -> Cause:
    """Return the cause that an error points to, by its text and the stack of its last attempt."""
    page = _PAGE.search(text)
    end = min(page.start() if page else _MOST, _MOST)
    text = text[:end]  # type: ignore[cut]  # judged, never shown
    if FAILED_CHILD.search(text):
        return "child"
    if _DISK_SAYS.search(text):
        return "disk"
    if _REDIS_SAYS.search(text):
        return "redis"
    library, text = _library(stack), text.lower()
    return (
        _said(text, library)
        or _raised(text, library)
        or _named(_URL.sub("", text), places)
        or _otherwise(text)
    )


def _said(text: str, library: Cause | None) -> Cause | None:
    """Return the cause by words that only one system uses."""
    if _WORKER.search(text):
        return "worker"
    is_free = library not in ("redis", "upstream")
    return "database" if is_free and _DATABASE_SAYS.search(text) else None


def _raised(text: str, library: Cause | None) -> Cause | None:
    """Return the cause by the library that raised the error, if its text reports trouble."""
    is_trouble = _TROUBLE.search(text) or (library == "upstream" and _UPSTREAM.search(text))
    return library if is_trouble else None


def _otherwise(text: str) -> Cause:
    """Return the cause of an error that names neither Redis nor a database."""
    if _UPSTREAM.search(text):
        return "upstream"
    if _NETWORK.search(text):
        return "upstream" if _ADDRESS.search(text) or _URL.search(text) else "connection"
    return "upstream" if _TIMEOUT.search(text) else "code"


def _named(text: str, places: Places) -> Cause | None:
    """Return Redis or the database, whichever is named nearer to the word of trouble."""
    trouble = _TROUBLE.search(text)
    if trouble is None:
        return None
    near: dict[Cause, int] = {}
    for cause, signs in (
        ("redis", (_REDIS_NAMES, places.redis)),
        ("database", (_DATABASE_NAMES, places.database)),
    ):
        ways = [
            max(match.start() - trouble.end(), trouble.start() - match.end(), 0)
            for sign in signs
            for match in sign.finditer(text)
        ]
        if ways:
            near[cause] = min(ways)  # type: ignore[index]
    return min(near, key=lambda cause: near[cause], default=None)


def _library(stack: str) -> Cause | None:
    """Return the system whose client library called last, above the service's own code."""
    for frame in _FRAME.finditer(stack):
        place = frame["place"]
        if "undici" in place:
            return "upstream"
        packages = _PACKAGE.findall(place)
        if packages:
            name = packages[-1].replace("\\", "/")
            for cause, libraries in _LIBRARIES.items():
                if libraries.search(name):
                    return cause
        elif not any(sign in place for sign in _INSIDE):
            return None  # the service's own code, and below it what called that
    return None


_LIBRARIES: dict[Cause, re.Pattern[str]] = {
    "redis": _REDIS_LIBRARIES,
    "database": _DATABASE_LIBRARIES,
    "upstream": _HTTP_LIBRARIES,
}
