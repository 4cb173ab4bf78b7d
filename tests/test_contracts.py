"""The import contracts of pyproject.toml can break.

`make check` runs them on the code. Here they run on a skeleton of the packages: as it
is, all are kept; with one import planted, the contract that forbids it is broken, and
is named. A contract with a misspelt module would be kept for ever, in silence.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
    "importlinter"
]
CONTRACTS: list[str] = [contract["name"] for contract in LINTER["contracts"]]
LAYERS, CORE, STEP, KUBELET_CORE, KUBELET, MONITOR, ADAPTERS = CONTRACTS

# Modules that the contracts name.
MODULES = (
    *(f"{package}/__init__.py" for package in LINTER["root_packages"]),
    *("workers/step.py", "workers/intake.py"),
    *("workers/reconcilers.py", "workers/timers.py"),
    *("workers/analysing.py", "workers/autoscaling.py", "workers/metrics.py"),
    *("kubelet/agent.py", "kubelet/lifecycle.py"),
    *("kubelet/transitions.py", "kubelet/shown.py"),
    *("gateway/monitoring/__init__.py", "gateway/kube/__init__.py"),
    *("gateway/views/__init__.py", "gateway/reader.py", "gateway/service.py"),
)

PLANTS = (
    (LAYERS, "domain/planted.py", "from projections import planted"),
    (LAYERS, "adapters/planted.py", "import projections"),
    (LAYERS, "projections/planted.py", "import adapters"),
    (LAYERS, "workers/planted.py", "import gateway"),
    (LAYERS, "gateway/planted.py", "import kubelet"),
    (LAYERS, "workers/planted.py", "import rollbook"),
    (CORE, "domain/planted.py", "import time"),
    (CORE, "domain/planted.py", "from random import Random"),
    (CORE, "projections/planted.py", "import os.path"),
    (CORE, "domain/planted.py", "def late() -> None:\n    import asyncio"),
    (STEP, "workers/step.py", "import asyncio"),
    (STEP, "workers/timers.py", "from workers import planted"),
    (KUBELET_CORE, "kubelet/agent.py", "import subprocess"),
    (KUBELET_CORE, "kubelet/lifecycle.py", "from adapters import clock"),
    (KUBELET, "kubelet/planted.py", "import projections"),
    (STEP, "workers/analysing.py", "import time"),
    (KUBELET_CORE, "kubelet/transitions.py", "import aiohttp"),
    (MONITOR, "gateway/monitoring/planted.py", "from gateway import reader"),
    (ADAPTERS, "kubelet/planted.py", "import aiodocker"),
    (ADAPTERS, "workers/control.py", "import nats"),
    (ADAPTERS, "rollbook/up.py", "from psycopg import sql"),
    (ADAPTERS, "gateway/planted.py", "import sqlite3"),
)


def broken_contracts(tree: Path) -> set[str]:
    """The contracts that the packages below `tree` break."""
    lint = "import sys; from importlinter.cli import lint_imports_command as it; it()"
    linted = subprocess.run(
        [sys.executable, "-P", "-c", lint, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = re.findall(r"^(.+?) (KEPT|BROKEN)", linted.stdout, re.MULTILINE)
    assert len(verdicts) == len(CONTRACTS), linted.stdout + linted.stderr
    return {name for name, verdict in verdicts if verdict == "BROKEN"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Empty packages with the modules that the contracts name, and the contracts."""
    for module in MODULES:
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / module).touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_empty_packages_break_no_contract(tree: Path) -> None:
    """What is broken below is broken by the plant alone; type-only names are free."""
    typing = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
    (tree / "domain/planted.py").write_text(f"{typing}from random import Random\n")
    (tree / "workers/control.py").write_text("import asyncio, adapters, projections\n")
    (tree / "adapters/planted.py").write_text("import nats, sqlite3, domain\n")

    assert broken_contracts(tree) == set()


@pytest.mark.parametrize(("contract", "path", "line"), PLANTS)
def test_a_planted_import_breaks_its_contract(
    tree: Path, contract: str, path: str, line: str
) -> None:
    """The contract that forbids an import says so; indirect imports count."""
    for helper in ("projections/planted.py", "adapters/clock.py", "workers/planted.py"):
        (tree / helper).write_text("")
    (tree / "workers/planted.py").write_text("import socket\n")
    (tree / path).write_text(f"{line}\n")

    assert contract in broken_contracts(tree)


def test_every_contract_has_a_plant() -> None:
    """A contract that is added is shown to be able to break."""
    assert {contract for contract, _, _ in PLANTS} == set(CONTRACTS)


def test_every_forbidden_module_exists() -> None:
    """A misspelt module would be forbidden without effect."""
    for contract in LINTER["contracts"]:
        for module in contract.get("forbidden_modules", ()):
            assert find_spec(module), f"{contract['name']}: there is no {module}"


def test_every_package_is_in_the_contracts() -> None:
    """A package that the wheel has is one that the contracts look at."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "hatch"
    ]["build"]["targets"]["wheel"]["packages"]

    assert set(packages) == set(LINTER["root_packages"])
