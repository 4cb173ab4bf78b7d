"""Prometheus' own tools, where they are installed; CI has them (`.ci/run`)."""

import shutil
import subprocess
from pathlib import Path

import pytest

PROMTOOL = shutil.which("promtool")
PROMETHEUS = shutil.which("prometheus")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing")
needs_prometheus = pytest.mark.skipif(PROMETHEUS is None, reason="no prometheus")


def complaints(text: str) -> str:
    """What `promtool check metrics` says of a page; nothing about a good one."""
    return _said("metrics", text=text)


def complaints_of_file(what: str, path: Path) -> str:
    """What `promtool check config` or `check rules` finds; nothing in a good file."""
    return _said(what, str(path))


def _said(*arguments: str, text: str = "") -> str:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 0 and "error" not in done.stderr.lower():
        return done.stderr if arguments[0] == "metrics" else ""
    return done.stdout + done.stderr
