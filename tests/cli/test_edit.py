"""`edit` and `replace -f`, end to end: what is shown, what is sent, what is kept.

The console script runs as a process of its own, on a real broker; the editor is a
program that changes the file as a person would.
"""

from pathlib import Path

import pytest

from domain import errors
from tests.cli.service import Ran, Service
from tests.cli.world import STATUS, refused, with_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANCELLED = Ran(0, "", "Edit cancelled, no changes made.\n")
MODIFIED = (
    "Error from server (Conflict): Operation cannot be fulfilled on deployments.apps "
    '"nginx": the object has been modified; please apply your changes to the latest '
    "version and try again"
)


def editor(folder: Path, *lines: str) -> str:
    """A program that is an editor to whoever calls it with a file's name."""
    file = folder / "editor"
    file.write_text("\n".join(("#!/bin/sh", 'cp "$1" "$(dirname "$0")/seen"', *lines)))
    file.chmod(0o755)
    return str(file)


def nginx(service: Service, *, replicas: int = 3, version: str = "7") -> None:
    """The notes' Deployment as the api shows it."""
    metadata = {"name": "nginx", "namespace": "default", "uid": "uid-nginx"}
    service.objects["deployment/nginx"] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "resourceVersion": version, "generation": 1},
        "spec": {"replicas": replicas},
        "status": STATUS,
    }


async def test_edit_puts_what_was_typed_in_the_objects_place(
    service: Service, tmp_path: Path
) -> None:
    """The file shows what a user can change; what is sent carries the version that the
    object has, and the cause of the change."""
    nginx(service)
    program = editor(tmp_path, 'sed -i "s/replicas: 3/replicas: 5/" "$1"')

    ran = await service.run(
        "edit", "deployment/nginx", "--cause", "more", EDITOR=program, VISUAL=""
    )

    assert ran == Ran(0, "deployment.apps/nginx edited\n", "")
    seen = (tmp_path / "seen").read_text()
    assert "replicas: 3\n" in seen
    assert "status" not in seen
    assert "resourceVersion" not in seen
    [(subject, message)] = service.commands
    assert (subject.verb, message.cause) == ("replace", "more")
    body = bytes(message.body).decode()
    assert '"spec":{"replicas":5}' in body
    assert '"resourceVersion":"7"' in body


@pytest.mark.parametrize("line", ["true", ': > "$1"', 'echo "# no" >> "$1"'])
async def test_an_edit_that_says_nothing_changes_nothing(
    service: Service, tmp_path: Path, line: str
) -> None:
    """The file is left as it is, emptied, or only a comment is added."""
    nginx(service)

    ran = await service.run(
        "edit", "deployment", "nginx", EDITOR=editor(tmp_path, line), VISUAL=""
    )

    assert ran == CANCELLED
    assert not service.commands


async def failed(service: Service, tmp_path: Path, *lines: str) -> tuple[str, Path]:
    """(what is told first, where the text is) of an edit that fails."""
    program = editor(tmp_path, *lines)
    ran = await service.run(
        "edit", "deployment/nginx", EDITOR=program, VISUAL="", TMPDIR=str(tmp_path)
    )
    assert (ran.status, ran.out) == (1, "")
    told, _, file = ran.err.rstrip("\n").partition("\nNothing was changed; ")
    return told, Path(file.removeprefix("what you have written is in "))


WRONG = (
    ('sed -i "s/replicas: 3/replicas: -1/" "$1"', "is invalid: spec.replicas"),
    ('echo ": : [" >> "$1"', "error parsing the edited text"),
    ('printf -- "---\\nkind: Pod\\n" >> "$1"', "it has several documents"),
    ('sed -i "s/name: nginx/name: other/" "$1"', "its kind and name cannot be changed"),
)


@pytest.mark.parametrize(("line", "told"), WRONG)
async def test_what_was_typed_is_not_lost_when_it_is_refused(
    service: Service, tmp_path: Path, line: str, told: str
) -> None:
    """It stays in a file, and the message says in which."""
    nginx(service)
    service.decide = refused(
        "Invalid", 'Deployment.apps "nginx" is invalid: …', "spec.replicas"
    )

    error, file = await failed(service, tmp_path, line)

    assert told in error
    assert file.read_text() != (tmp_path / "seen").read_text()


async def test_an_editor_that_is_not_there_is_named(service: Service) -> None:
    """With the variable that would name another one; nothing is sent."""
    nginx(service)
    ran = await service.run(
        "edit", "deployment/nginx", EDITOR="no-such-editor", VISUAL=""
    )
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("error: no editor could be run (no-such-editor: ")
    assert ran.err.endswith("): name one in EDITOR\n")
    assert not service.commands


async def test_somebody_elses_change_is_not_overwritten(
    service: Service, tmp_path: Path
) -> None:
    """Who changes the object while the editor is open wins, and the editor is told."""
    nginx(service)
    conflict = refused("Conflict", "the object has been modified")
    told: list[str] = []

    def decide(*about: object) -> object:
        nginx(service, replicas=9, version="8")  # while the command is on its way
        told.append("conflict")
        return conflict(*about)

    service.decide = decide  # type: ignore[assignment]  # it is one, and remembers

    error, _ = await failed(
        service, tmp_path, 'sed -i "s/replicas: 3/replicas: 5/" "$1"'
    )

    assert error == MODIFIED
    assert told == ["conflict"], "it looks again before it tries again"


async def test_a_status_that_changes_meanwhile_is_no_conflict(
    service: Service, tmp_path: Path
) -> None:
    """A pod that starts gives its Deployment another version; the edit is tried again
    with that one."""
    nginx(service)
    answers = [refused("Conflict", "the object has been modified"), service.decide]

    def decide(*about: object) -> object:
        nginx(service, version="8")
        return answers.pop(0)(*about)  # type: ignore[arg-type]  # a command's own

    service.decide = decide  # type: ignore[assignment]  # as above
    program = editor(tmp_path, 'sed -i "s/replicas: 3/replicas: 5/" "$1"')

    ran = await service.run("edit", "deployment/nginx", EDITOR=program, VISUAL="")

    assert ran == Ran(0, "deployment.apps/nginx edited\n", "")
    versions = [bytes(m.body).decode().count('"8"') for _, m in service.commands]
    assert versions == [0, 1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "one or more resources must be specified"),
        (("deployments",), "no name was specified"),
        (("deployment", "a", "b"), "edit changes one object at a time"),
    ],
)
async def test_edit_changes_one_object(
    service: Service, words: tuple[str, ...], told: str
) -> None:
    """No editor is opened for none or several."""
    ran = await service.run("edit", *words, EDITOR="false", VISUAL="")

    assert (ran.status, ran.out) == (1, "")
    assert told in ran.err


# --- replace

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx, resourceVersion: "7"}
spec: {replicas: 1}
"""


async def test_replace_sends_the_file_as_it_is(service: Service) -> None:
    """With its resourceVersion, if it has one: that is what it is compared with."""
    with_nginx(service)

    ran = await service.run("replace", "-f", "-", stdin=MANIFEST)

    assert ran == Ran(0, "deployment.apps/nginx replaced\n", "")
    [(subject, message)] = service.commands
    assert subject.verb == "replace"
    assert '"resourceVersion":"7"' in bytes(message.body).decode()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("NotFound", 'deployments.apps "nginx" not found'),
        ("Conflict", "the object has been modified"),
    ],
)
async def test_what_cannot_be_replaced_is_told_with_its_file(
    service: Service, reason: errors.Reason, text: str
) -> None:
    """What is not there, and what has another version by now."""
    service.decide = refused(reason, text)

    ran = await service.run("replace", "-f", "-", stdin=MANIFEST)

    assert ran == Ran(
        1, "", f'Error from server ({reason}): error when replacing "STDIN": {text}\n'
    )
