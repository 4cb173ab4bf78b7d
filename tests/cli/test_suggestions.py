"""What a person reads who has typed something that is not there, or not complete.

The line says what was meant, what does it here, or what else does it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from rollbook import cli, client, printing, references
from rollbook.commands import common
from rollbook.failures import Failure
from tests import commandline

UNKNOWN = (
    ("gte pods", "No such command 'gte'. Did you mean 'get'?"),
    ("history deploy/web", "Did you mean 'rollout history'?"),
    ("undo deployment/nginx", "Did you mean 'rollout undo'?"),
    ("rollout histroy", "Did you mean 'history'?"),
    ("rollout -n shop udno", "Did you mean 'undo'?"),
    ("set imgae", "Did you mean 'image'?"),
    ("patch deployment web", "kubectl --kubeconfig .rollbook/kubeconfig patch …"),
    ("get pods --selctor a=b", "--selector"),
    ("zzz", "No such command 'zzz'.\n"),
)


@pytest.mark.parametrize(("line", "told"), UNKNOWN)
def test_a_word_that_is_no_verb_is_answered_with_what_is_like_it(
    line: str, told: str
) -> None:
    """Also with what a verb of another tool is called here; exit status 2."""
    ran = CliRunner().invoke(cli.main, line.split())

    assert ran.exit_code == 2
    assert told in ran.stderr
    assert ran.stdout == ""


def test_what_is_suggested_exists() -> None:
    """A hint never leads to another "No such command"."""
    for word, instead in cli.ELSEWHERE.items():
        assert word not in cli.VERBS
        commandline.parse(cli.main, [*instead.split(), "--help"])
    assert not cli.KUBECTLS & cli.VERBS.keys()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("deploymets", '"deploymets", did you mean deployments?'),
        ("Podz", '"Podz", did you mean pod?'),
        ("foo", '"foo"'),
    ],
)
def test_a_type_that_is_none_is_answered_with_one_that_is_like_it(
    word: str, text: str
) -> None:
    """Behind kubectl's words, and only where there is one."""
    with pytest.raises(Failure) as raised:
        references.parse_kind(word)

    assert str(raised.value) == (
        f"error: the server doesn't have a resource type {text}"
    )


# --- help


def test_a_group_lists_each_command_once_and_says_all_of_it() -> None:
    """Sentences are not cut, and other names of a command stand beside it."""
    rollout = CliRunner().invoke(cli.main, ["rollout", "--help"]).stdout
    create = CliRunner().invoke(cli.main, ["create", "--help"]).stdout

    assert "..." not in rollout.partition("Commands:")[2]
    assert "complete,\n             without steps." in rollout
    assert "  configmap, cm " in create
    assert create.count("Create a ConfigMap") == 1


def test_help_says_what_the_option_says() -> None:
    """`rollbook help rollout undo` is `rollbook rollout undo --help`; a word that is no
    verb is answered as ever."""
    run = CliRunner().invoke
    asked, said = ["help", "rollout", "undo"], ["rollout", "undo", "--help"]

    assert run(cli.main, asked).stdout == run(cli.main, said).stdout
    assert run(cli.main, ["help"]).stdout == run(cli.main, ["--help"]).stdout
    assert "Did you mean 'get'?" in run(cli.main, ["help", "gett"]).stderr
    assert run(cli.main, ["help", "get", "pods"]).exit_code == 2


def test_get_names_every_type_in_its_help() -> None:
    """What can be asked for is said where one looks; `api-resources` has them all."""
    run = CliRunner().invoke
    told = run(cli.main, ["get", "--help"]).stdout.split()
    words = {word.strip("(),.") for word in told}
    rows = run(cli.main, ["api-resources", "--no-headers"]).stdout.splitlines()

    for kind in references.KINDS:
        assert kind.plural in words
        assert not kind.short or kind.short in words
    assert [row.split()[0] for row in rows] == sorted(
        kind.plural for kind in references.KINDS
    )


def test_the_version_has_two_spellings() -> None:
    """`--version` as everywhere, and `version` as with kubectl."""
    run = CliRunner().invoke

    assert run(cli.main, ["--version"]).stdout == run(cli.main, ["version"]).stdout
    assert run(cli.main, ["--version"]).stdout.startswith("rollbook ")


# --- waiting


@pytest.mark.parametrize("person", [True, False])
def test_a_person_is_told_that_nobody_answers_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, person: bool
) -> None:
    """After a while of silence, on standard error; a script is told nothing."""
    told = asyncio.Event()

    @contextlib.asynccontextmanager
    async def connect(*_: object, **__: object) -> AsyncIterator[None]:
        await asyncio.wait_for(told.wait(), 30)
        yield

    def is_person_told() -> bool:
        told.set()
        return person

    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr(printing, "is_person_told", is_person_told)
    monkeypatch.setattr(common, "_PATIENCE_SECONDS", 0.0)

    words = ["get", "pods", "--context", str(tmp_path / "context.toml")]
    ran = CliRunner().invoke(cli.main, words)

    assert ("does not answer yet" in ran.stderr) is person
