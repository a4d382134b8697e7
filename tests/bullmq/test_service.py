"""The tool itself: each version does what it is told, and says so in its own words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bullmq import VERSIONS, Service, ServiceFailed
from tests.systems import redis_server


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    server = redis_server.start(tmp_path / "redis")
    yield f"redis://127.0.0.1:{server.port}"
    server.kill()


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_adds_works_pauses_and_counts(version: int, url: str) -> None:
    with Service(version, url) as mail:
        ids = mail.add("mail", 3)
        mail.add("mail", jobId="or der-7", priority=3, data={"fail": "full"})
        mail.work("mail", name="worker one")
        mail.until_idle("mail")
        assert mail.ids("mail", "completed") == ids
        assert mail.ids("mail", "failed") == ["or der-7"]
        assert mail.runs("mail")["or der-7"] == {"began": 1, "failed": 1}
        mail.stop("mail")
        mail.job("mail", "or der-7", "retry", "failed")
        mail.queue("mail", "pause")
        mail.add("mail", 2)
        assert mail.counts("mail").get("paused", 0) == (0 if version == 6 else 3)
        with pytest.raises(ServiceFailed, match="no job 99"):
            mail.job("mail", "99", "retry")


def test_a_killed_service_leaves_its_locks_behind(url: str) -> None:
    with Service(5, url) as mail, Service(5, url) as other:
        mail.add("mail", data={"hold": True})
        mail.work("mail")
        while not other.counts("mail")["active"]:
            pass
        mail.kill()
        assert other.ids("mail", "active") == ["1"]
