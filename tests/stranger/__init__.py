"""A system that differs from the demo wherever a production system may differ."""

import pytest

pytest.register_assert_rewrite("tests.stranger.runbooks", "tests.stranger.users")
