"""The story of examples/demo.py as a test, over both stores."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import stores

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
@stores.both
def test_the_story_comes_out_right(store_kind: str) -> None:
    """Each step checks its outcome and prints a line; the exit status is 0."""
    with stores.opened(store_kind) as store:
        said = _run(*(("--store", store) if store else ())).splitlines()

    assert len(said) == 15, "14 steps and a last line"
    assert said[-1].endswith("every step came out right")
