"""The story of examples/demo.py as a test, over both stores."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import postgres

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def _run(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(DEMO), *options],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.e2e
def test_the_story_comes_out_right() -> None:
    """Each step checks its outcome and prints a line; the exit status is 0."""
    said = _run().splitlines()

    assert len(said) == 15, "14 steps and a last line"
    assert said[-1].endswith("every step came out right")


@pytest.mark.e2e
@pytest.mark.postgres
def test_the_story_comes_out_right_with_postgresql() -> None:
    """PostgreSQL as the store: the same story, the same outcome."""
    with postgres.server() as server, postgres.fresh_database(server) as store:
        said = _run("--store", store)

    assert "every step came out right" in said
