"""The documents tell the truth: links lead somewhere, commands parse, copies are fresh.

1. A fenced block marked `console` is a terminal: lines that start with `$ ` are typed.
   `rollbook …` must parse on our command line, `make …` must be a target; which other
   programs may appear is listed here.
2. A relative link leads to a file, and its #part to a heading of that file.
3. A document that is generated from the code is what the code generates today.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from tests import commandline

ROOT = Path(__file__).parent.parent

# Programs of others that a console block may show, and why.
OTHER_PROGRAMS = {
    "export": "the shell",
    ".": "the shell",
    "apt-get": "system packages",
    "cd": "the shell",
    "docker": "the compose file",
    "git": "getting the code",
    "kubectl": "the Kubernetes API of the gateway",
    "nats": "the wire, without us",
    "pip": "the client in somebody's own environment",
    "pytest": "one test",
    "sqlite3": "the store, without us",
}


class Typed(NamedTuple):
    """One command line of a document."""

    path: str
    number: int
    line: str


def documents() -> list[Path]:
    """The documents for people; what is installed or hidden is not ours."""
    folders = (ROOT, ROOT / "docs", ROOT / "examples")
    return sorted(path for folder in folders for path in folder.glob("*.md"))


# ── the rules ─────────────────────────────────────────────────────────────────────────


def typed(path: str, text: str) -> Iterator[Typed]:
    """The command lines of the console blocks, continuation lines joined."""
    inside, pending = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = not inside and line.strip() == "```console"
        elif inside and (pending or line.startswith("$ ")):
            pending += line.removeprefix("$ ")
            if pending.endswith("\\"):
                pending = pending[:-1]
                continue
            yield Typed(path, number, pending)
            pending = ""


def programs(line: str) -> Iterator[list[str]]:
    """The words of each program of a line: pipes, `&&` and redirections end one."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    skip = False
    for token in [*lexer, ";"]:
        if token[:1] in ("<", ">"):
            skip = True  # a file's name follows
        elif token[:1] in (";", "|", "&"):
            yield words
            words, skip = [], False
        elif skip:
            skip = False
        else:
            words.append(token)


def make_targets(makefile: str) -> set[str]:
    """The targets that `make help` prints."""
    return set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


def wrong_make(words: list[str], targets: set[str]) -> Iterator[str]:
    """A target that the Makefile does not have."""
    for word in words:
        if "=" not in word and word not in targets:
            yield f"make has no target {word}"


def wrong_command(main: click.Group, words: list[str]) -> Iterator[str]:
    """A command that our command line would refuse as wrong usage."""
    try:
        commandline.parse(main, words)
    except click.UsageError as error:
        yield error.format_message()


def anchors(text: str) -> set[str]:
    """The #parts of a document: its headings as code hosts turn them into links."""
    found = set()
    fenced = False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if not fenced and (heading := re.match(r"#+ (.*)", line)):
            plain = re.sub(r"[^\w\- ]", "", heading[1].lower())
            found.add(plain.strip().replace(" ", "-"))
    return found


def broken_links(document: Path) -> Iterator[str]:
    """Relative links of `document` that lead nowhere."""
    text = document.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue  # somewhere on the network
        name, _, part = target.partition("#")
        goal = document.parent / name if name else document
        if not goal.exists():
            yield f"{document.name}: {target} leads nowhere"
        elif part and part not in anchors(goal.read_text("utf-8")):
            yield f"{document.name}: {target} is no heading"


# ── the documents keep them ───────────────────────────────────────────────────────────

LINES = [
    (line, words)
    for path in documents()
    for line in typed(path.name, path.read_text("utf-8"))
    for words in programs(line.line)
    if words
]


def of(program: str) -> list[tuple[Typed, list[str]]]:
    """The command lines of one program."""
    return [(line, words[1:]) for line, words in LINES if words[0] == program]


def test_the_readme_shows_the_two_commands() -> None:
    """What a newcomer types first is in the README, and is looked at here."""
    shown = {(line.path, *words) for line, words in of("make")}

    assert {("README.md", "up"), ("README.md", "test")} <= shown


def test_every_target_in_a_document_exists() -> None:
    """`make x` is never shown where the Makefile has no x."""
    targets = make_targets((ROOT / "Makefile").read_text("utf-8"))
    complaints = [
        f"{line.path}:{line.number} {complaint}"
        for line, words in of("make")
        for complaint in wrong_make(words, targets)
    ]

    assert not complaints, "\n".join(["", *complaints])


def test_every_command_in_a_document_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rollbook x` is shown with verbs, flags and files that exist."""
    monkeypatch.chdir(ROOT)
    main = commandline.group()
    complaints = [
        f"{line.path}:{line.number} {complaint}"
        for line, words in of("rollbook")
        for complaint in wrong_command(main, words)
    ]

    assert not complaints, "\n".join(["", *complaints])


def test_every_other_program_is_a_known_one() -> None:
    """A misspelt `rollbok` is no program of somebody else."""
    known = {"rollbook", "make", *OTHER_PROGRAMS}
    unknown = [
        f"{line.path}:{line.number} {words[0]}"
        for line, words in LINES
        if words[0].rpartition("/")[2] not in known
    ]

    assert not unknown, "\n".join(["", *unknown])


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link has a file at its end, and a heading where it names one."""
    assert not list(broken_links(document))


def test_generated_documents_are_fresh() -> None:
    """`make docs` would change nothing."""
    generator = ROOT / "docs/generate.py"
    check = subprocess.run(
        [sys.executable, str(generator), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert check.returncode == 0, f"run make docs\n{check.stdout}{check.stderr}"


# ── and each rule can fail ────────────────────────────────────────────────────────────

CONSOLE = """\
$ not typed
```console
$ make up
ready
$ rollbook get pods | wc -l && rollbook get \\
    nodes > file  # all of them
```
```python
$ not typed either
```
"""


def test_console_blocks_are_read() -> None:
    """Output and other blocks are no commands; pipes, files and comments are seen."""
    lines = [it.line for it in typed("a.md", CONSOLE)]

    assert [words for line in lines for words in programs(line)] == [
        ["make", "up"],
        ["rollbook", "get", "pods"],
        ["wc", "-l"],
        ["rollbook", "get", "nodes"],
    ]


def test_a_wrong_target_is_found() -> None:
    """A variable is no target, a target that is not there is none."""
    targets = make_targets("up: install ## run\nhidden:\n")

    assert targets == {"up"}
    assert list(wrong_make(["up", "ARGS=-x"], targets)) == []
    assert list(wrong_make(["hidden"], targets)) == ["make has no target hidden"]


def test_a_wrong_command_is_found() -> None:
    """A verb that is not there is wrong usage."""

    @click.group()
    def main() -> None:
        """A command line without verbs."""

    assert list(wrong_command(main, ["get"]))


def test_broken_links_are_found(tmp_path: Path) -> None:
    """A file that is not there, and a heading that is not there; others pass."""
    document = tmp_path / "a.md"
    document.write_text(
        "# One `and` two\n"
        "[a](a.md) [b](#one-and-two) [c](https://example.org/x)\n"
        "[d](b.md) [e](a.md#three)\n",
        "utf-8",
    )

    assert list(broken_links(document)) == [
        "a.md: b.md leads nowhere",
        "a.md: a.md#three is no heading",
    ]
