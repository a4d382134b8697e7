"""The servers of tests start, serve and end."""

from __future__ import annotations

import psycopg
import pytest

from tests.servers.pgbouncer import pgbouncer
from tests.servers.postgres import PACKAGED, VERSIONS, server


@pytest.mark.skipif(not PACKAGED, reason="the packages have no programs for this machine")
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_a_server_has_its_options_and_a_pooler_before_it(version: int) -> None:
    with server(version, {"shared_preload_libraries": "pg_stat_statements"}) as found:
        assert found.major == version
        found.query("CREATE ROLE shopapp LOGIN", "CREATE DATABASE shop OWNER shopapp")
        found.query("CREATE EXTENSION pg_stat_statements", database="shop")
        with (
            pgbouncer(found, "shop") as pooler,
            psycopg.connect(pooler.url("shopapp", "shop")) as connection,
        ):
            assert connection.execute("SELECT current_user").fetchone() == ("shopapp",)
    assert not found.folder.exists()
