"""The words of the SQL that pg_dump writes about one database."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """Return the words of `text`."""
    return frozenset(text.split())


SETTINGS = words(
    "statement_timeout lock_timeout idle_in_transaction_session_timeout transaction_timeout"
    " idle_session_timeout client_encoding standard_conforming_strings check_function_bodies"
    " xmloption client_min_messages row_security default_tablespace default_table_access_method"
    " default_with_oids search_path escape_string_warning datestyle intervalstyle timezone"
    " extra_float_digits synchronize_seqscans quote_all_identifiers bytea_output"
    " restrict_nonsystem_relation_kind default_toast_compression session_replication_role"
)
UNSAFE_ENCODINGS = words(
    "sjis shiftjis big5 gbk uhc gb18030 johab shiftjis2004 mskanji win932 win936 win949 win950"
    " windows932 windows936 windows949 windows950"
)
TWO_WORDS = words("materialized foreign event access text user large default")
MODIFIERS = words("or replace unlogged unique constraint trusted procedural recursive")
MAKES = words(
    "schema table sequence view index function procedure aggregate type domain extension operator"
    " collation conversion cast transform trigger rule policy statistics language publication"
    " subscription"
) | {"materialized view", "event trigger", "text search", "access method", "default conversion"}
ALTERS = (MAKES - {"extension"}) | {"large object", "default privileges", "routine"}
DROPS = (MAKES - {"subscription"}) | {"routine"}
ALWAYS_EXTRA = frozenset({"publication", "policy", "language", "access method", "transform"})
EXTRA_AFTER_OTHERS = frozenset(
    {"view", "function", "procedure", "aggregate", "operator", "rule", "trigger", "cast"}
    | {"materialized view", "statistics", "text search"}
)
DATA_CALLS = words(
    "set_config setval lo_create lo_open lowrite lo_close pg_restore_relation_stats"
    " pg_restore_attribute_stats pg_restore_extended_stats"
)
LANGUAGES = words("sql plpgsql plperl pltcl plv8 plcoffee plls pllua pljs plrust")

NOT_DATA = "is no part of a dump of one database"

EVALUATED = frozenset(
    {"table", "domain", "index", "materialized view", "cast", "aggregate", "operator", "type"}
    | {"statistics"}
)
"""Objects that may call functions while they are restored."""
