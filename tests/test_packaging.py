"""Rollbook is an application with short top-level names. Four guards keep it honest.

1. It cannot be uploaded to a public index: the classifier refuses it.
2. No other installed distribution provides a package with one of our names, which
   would replace our files, or be replaced, without a word from the installer.
3. It is started through its console script: a bare `python -m` would let a folder of
   the working directory shadow our packages.
4. Every stored event has a `TOPIC` of its own, so no import path enters a database.

Nothing of ours is imported at the top of this file: with a clashing distribution
installed, the import would fail before guard 2 could say why.
"""

import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
DISTRIBUTION = "rollbook"
TOPIC_FORM = re.compile(r"[a-z]+\.[a-z-]+\.v[0-9]+")


# ── guard 1: never on a public index ──────────────────────────────────────────────────


def test_no_public_index_takes_the_distribution() -> None:
    """The classifier that indexes refuse is in the project and in what is installed."""
    private = "Private :: Do Not Upload"

    assert private in PROJECT["project"]["classifiers"]
    assert private in metadata.metadata(DISTRIBUTION).get_all("Classifier", [])


# ── guard 2: nobody else has our names ────────────────────────────────────────────────


def clashes(provided: Mapping[str, Sequence[str]]) -> list[str]:
    """Which of our packages somebody else provides, given package → distributions."""
    return [
        f"{package} is also provided by {other}"
        for package in PACKAGES
        for other in provided.get(package, ())
        if other != DISTRIBUTION
    ]


def test_no_other_distribution_provides_our_packages() -> None:
    """The environment is Rollbook's own as far as the names of packages go."""
    assert not clashes(metadata.packages_distributions())


def test_a_clashing_distribution_is_named() -> None:
    """Guard 2 can fail, and says who is in the way."""
    provided = {"domain": ["rollbook", "otherapp"], "msgspec": ["msgspec"]}

    assert clashes(provided) == ["domain is also provided by otherapp"]


def test_our_packages_are_imported_from_this_repository() -> None:
    """What the tests import is the code beside them, not a copy installed elsewhere."""
    for package in PACKAGES:
        module = import_module(package)

        assert Path(str(module.__file__)).parent == ROOT / package


# ── guard 3: the console script ───────────────────────────────────────────────────────


def bare_modules(text: str) -> list[str]:
    """Starts of our packages by `python -m` without `-P`, in a file that runs us."""
    ours = "|".join(PACKAGES)
    return re.findall(rf"python[0-9.]*\"?,? +\"?-m\"?,? +\"?(?:{ours})\b[\w.]*", text)


def test_the_console_script_is_installed() -> None:
    """`rollbook` starts `rollbook.cli:main`, as declared and as installed."""
    (script,) = metadata.entry_points(group="console_scripts", name="rollbook")

    assert PROJECT["project"]["scripts"] == {"rollbook": "rollbook.cli:main"}
    assert script.value == "rollbook.cli:main"


@pytest.mark.parametrize("path", ["Dockerfile", "docker-compose.yml", "Makefile"])
def test_nothing_starts_us_with_a_bare_python_m(path: str) -> None:
    """Containers and make targets use the console script or a path to a file."""
    assert not bare_modules((ROOT / path).read_text("utf-8"))


@pytest.mark.parametrize(
    "text",
    ["python -m rollbook.cli up", 'CMD ["python3", "-m", "workers.control"]'],
)
def test_a_bare_python_m_is_found(text: str) -> None:
    """Guard 3 can fail in both spellings."""
    assert bare_modules(text)


# ── guard 4: topics ───────────────────────────────────────────────────────────────────


def bad_topics(events: Sequence[type]) -> Iterator[str]:
    """What is wrong with the topics of `events`, one sentence each.

    `vars` rather than `getattr`: an inherited topic is the topic of another event.
    """
    owners: dict[object, str] = {}
    for event in events:
        topic = vars(event).get("TOPIC")
        if not isinstance(topic, str):
            yield f"{event.__name__} has no TOPIC of its own"
        elif not TOPIC_FORM.fullmatch(topic):
            yield f"{event.__name__}: {topic!r} does not read like pod.created.v1"
        elif topic in owners:
            yield f"{event.__name__} and {owners[topic]} share {topic!r}"
        owners.setdefault(topic, event.__name__)


def test_every_event_has_a_topic_of_its_own() -> None:
    """The catalogue names every stored event once, by a name that is not a path."""
    events: tuple[type, ...] = import_module("domain.catalogue").EVENTS

    assert events
    assert not list(bad_topics(events))


def test_bad_topics_are_found() -> None:
    """Guard 4 can fail: no topic, an inherited one, a shared one, an import path."""

    class PodBound:
        TOPIC = "pod.bound.v1"

    class PodRebound(PodBound):
        pass

    class PodTied:
        TOPIC = "pod.bound.v1"

    class PodLost:
        TOPIC = "domain.pod:PodLost"

    assert list(bad_topics((PodBound, PodRebound, PodTied, PodLost))) == [
        "PodRebound has no TOPIC of its own",
        "PodTied and PodBound share 'pod.bound.v1'",
        "PodLost: 'domain.pod:PodLost' does not read like pod.created.v1",
    ]


# ── the wheel ─────────────────────────────────────────────────────────────────────────


def test_the_wheel_holds_our_packages_and_nothing_else(tmp_path: Path) -> None:
    """A wheel has every file of the packages, data included, and no test or cache."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
    built = subprocess.run(  # output is shown if it fails
        [*build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert held == {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


# ── the locks ─────────────────────────────────────────────────────────────────────────


def locked(path: Path) -> dict[str, str]:
    """Name → version of each pinned requirement of a compiled file."""
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", path.read_text("utf-8"), re.MULTILINE)
    return {name.lower(): version for name, version in pins}


def test_the_locks_agree_with_each_other() -> None:
    """What tests run against is what is installed for use, version by version."""
    dev = locked(ROOT / "requirements/dev.txt")
    for name in ("build", "runtime"):
        pins = locked(ROOT / f"requirements/{name}.txt")

        assert pins
        assert pins.items() <= dev.items(), f"run make lock: {name}.txt differs"


def test_every_dependency_is_locked() -> None:
    """A dependency that pyproject.toml adds or raises is so in the locks too."""
    groups = PROJECT["dependency-groups"]
    wanted = {
        "runtime": PROJECT["project"]["dependencies"],
        "build": groups["build"],
        "dev": [each for each in groups["dev"] if isinstance(each, str)],
    }
    for name, requirements in wanted.items():
        pins = locked(ROOT / f"requirements/{name}.txt")
        for requirement in map(Requirement, requirements):
            pin = pins.get(requirement.name.lower())

            assert pin, f"run make lock: {requirement.name} is missing"
            assert pin in requirement.specifier, f"run make lock: {requirement}"


@pytest.mark.parametrize("name", ["build", "runtime", "dev"])
def test_the_locks_name_no_place(name: str) -> None:
    """A lock has versions and hashes, no index and no host: any mirror will do."""
    text = (ROOT / f"requirements/{name}.txt").read_text("utf-8")

    assert text.count("==") <= text.count("--hash=sha256:")
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links", text)
