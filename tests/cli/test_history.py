"""Histories, tags and undos on the command line: layouts, and what is sent.

The console script runs as a process of its own, on a real broker.
"""

import json

import msgspec
import pytest
import yaml

from domain import queries
from rollbook import printing, revisions
from rollbook.commands import rollout
from tests.cli.service import Ran, Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIFF = (
    "--- deployment.apps/nginx revision {}\n+++ deployment.apps/nginx revision {}\n"
    "@@ -2,4 +2,4 @@\n   labels:\n     app: nginx\n spec:\n"
)
ROWS = tuple(
    queries.RevisionRow(
        revision=number,
        cause=cause,
        when=1795415927.0,
        who="admin",
        from_="",
        result="complete",
        replicaset=f"nginx-{number}",
        present=number > 1,
        position=number,
        template=f"Pod Template:\n  Labels:\tapp=nginx\n   v{number}\n",
        pod_template=msgspec.Raw(
            b'{"metadata":{"labels":{"app":"nginx","pod-template-hash":"%d"}},'
            b'"spec":{"image":"v%d"}}' % (number, number)
        ),
        took=0.25 if number == 2 else 125.5,
        tags=("good", "old") if number == 2 else (),
    )
    for number, cause in ((1, "create"), (2, ""), (3, "image nginx=nginx:1.91"))
)


def history(data: bytes) -> queries.HistoryAnswer:
    """Those of `ROWS` that are asked for."""
    asked = msgspec.json.decode(data, type=queries.HistoryQuery)
    rows = [row for row in ROWS if row.present or not asked.present]
    if asked.revisions:
        first = min(int(each) or 3 for each in asked.revisions) - asked.before
        chosen = {int(each) or 3 for each in asked.revisions} | {first}
        rows = [row for row in rows if row.revision in chosen]
    return queries.HistoryAnswer(revisions=tuple(rows), current=3, total=3)


HISTORY = (
    ("", "deployment.apps/nginx \nREVISION  CHANGE-CAUSE\n2         <none>\n"
     "3         image nginx=nginx:1.91\n\n"),
    ("--all", "deployment.apps/nginx \nREVISION  CHANGE-CAUSE\n1         create\n"
     "2         <none>\n3         image nginx=nginx:1.91\n\n"),
    ("--revision=2", "deployment.apps/nginx with revision #2\nPod Template:\n"
     "  Labels:\tapp=nginx\n   v2\n\n"),
    ("-o wide --revision=0", "deployment.apps/nginx \n"
     "REVISION  CHANGE-CAUSE            WHEN                  WHO    FROM    RESULT    "
     "TOOK   TAG\n"
     "2         <none>                  2026-11-23T06:38:47Z  admin  <none>  complete  "
     "250ms  good,old\n"
     "3         image nginx=nginx:1.91  2026-11-23T06:38:47Z  admin  <none>  complete  "
     "2m5s   <none>\n"
     "\n"),
    ("--diff 3 1", f"{DIFF.format(3, 1)}-  image: v3\n+  image: v1\n"),
    ("--diff 2 2", ""),
    ("--revision=3 -o wide", "deployment.apps/nginx with revision #3\nPod Template:\n"
     f"  Labels:\tapp=nginx\n   v3\n\n{DIFF.format(2, 3)}-  image: v2\n"
     "+  image: v3\n"),
    ("--revision=1 -o wide", "deployment.apps/nginx with revision #1\nPod Template:\n"
     "  Labels:\tapp=nginx\n   v1\n\n"),
)  # fmt: skip


@pytest.mark.parametrize(("options", "out"), HISTORY)
async def test_history(service: Service, options: str, out: str) -> None:
    """The layout of spec 6.4; every revision with --all, more with -o wide."""
    service.answers["history"] = history

    ran = await service.run("rollout", "history", "deploy/nginx", *options.split())

    assert ran == Ran(0, out, "")


async def test_an_unknown_revision_is_told(service: Service) -> None:
    """As spec 6.4 says it."""
    service.answers["history"] = history

    ran = await service.run("rollout", "history", "deploy/nginx", "--revision=42")

    assert ran == Ran(1, "", "error: unable to find the specified revision\n")


async def test_a_history_for_programs_has_everything(service: Service) -> None:
    """RFC 3339 instants, seconds, and the template as Kubernetes' JSON; YAML alike."""
    service.answers["history"] = history

    ran = await service.run("rollout", "history", "deploy/nginx", "-o", "json")
    same = await service.run("rollout", "history", "deploy/nginx", "-o", "yaml")

    found = json.loads(ran.out)
    assert yaml.safe_load(same.out) == found
    assert [each["revision"] for each in found] == [2, 3]
    assert found[0] == {
        "revision": 2,
        "cause": "",
        "when": "2026-11-23T06:38:47.000000Z",
        "who": "admin",
        "from": "",
        "result": "complete",
        "took": 0.25,
        "tags": ["good", "old"],
        "replicaset": "nginx-2",
        "present": True,
        "position": 2,
        "command": "",
        "template": json.loads(bytes(ROWS[1].pod_template)),
    }


TAGS = (
    ("tag deploy/nginx good", "tag", {"tag": "good"}, "tagged"),
    (
        "tag deploy nginx good --revision=2 --overwrite",
        "tag",
        {"tag": "good", "revision": 2, "overwrite": True},
        "tagged",
    ),
    (
        "tag deploy/nginx good --remove",
        "tag",
        {"tag": "good", "remove": True},
        "untagged",
    ),
    ("undo deploy/nginx --to=good", "undo", {"to": "good"}, "rolled back"),
    ("undo deploy/nginx --to-revision=good", "undo", {"to": "good"}, "rolled back"),
    ("undo deploy/nginx --to-revision=2", "undo", {"toRevision": 2}, "rolled back"),
)


@pytest.mark.parametrize(("line", "verb", "body", "done"), TAGS)
async def test_a_tag_is_given_and_undone_to(
    service: Service, line: str, verb: str, body: dict[str, object], done: str
) -> None:
    """What is sent, and the sentence in kubectl's form."""
    ran = await service.run("rollout", *line.split())

    assert ran == Ran(0, f"deployment.apps/nginx {done}\n", "")
    subject, message = service.commands[0]
    assert subject.verb == verb
    assert json.loads(bytes(message.body)) == body


@pytest.mark.parametrize(
    ("line", "err"),
    [
        ("tag good", "error: a Deployment and a tag are required: TYPE/NAME TAG"),
        (
            "undo deploy/nginx --to=good --to-revision=2",
            "error: only one of --to and --to-revision may be given",
        ),
        (
            "undo deploy/nginx --to-revision=-1",
            "error: unable to find specified revision -1 in history",
        ),
        (
            "history deploy/nginx --revision=-1",
            "error: revision must be a positive integer: -1",
        ),
        (
            "history deploy/nginx --diff 1 9",
            "error: unable to find the specified revision",
        ),
        (
            "history deploy/nginx --diff 1 2 --all",
            "error: --diff shows the difference of two revisions only",
        ),
    ],
)
async def test_what_makes_no_sense_is_said_and_not_sent(
    service: Service, line: str, err: str
) -> None:
    """Status 1 and one sentence."""
    service.answers["history"] = history

    ran = await service.run("rollout", *line.split())

    assert ran == Ran(1, "", f"{err}\n")
    assert not service.commands


async def test_an_undo_that_is_only_shown(service: Service) -> None:
    """The template of the second newest, however old; nothing is sent (spec 6.8)."""
    service.answers["history"] = history

    ran = await service.run("rollout", "undo", "deploy/nginx", "--dry-run=client")

    assert ran.out.startswith("deployment.apps/nginx Pod Template:\n")
    assert "   v2\n" in ran.out
    assert ran.out.endswith("\n (dry run)\n")
    assert not service.commands


async def test_a_difference_is_coloured_for_people_only() -> None:
    """What goes is red, what comes green; the text is the same."""
    lines = ["--- a", "+++ b", "@@ -1 +1 @@", " same", "-old", "+new"]

    found = list(revisions.colored(lines))

    assert [line.split("m")[0][2:] for line in found if "\x1b" in line] == [
        "1", "1", "36", "31", "32",
    ]  # fmt: skip
    assert found[3] == " same"


async def test_a_person_is_told_of_revisions_that_are_not_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """kubectl's listing leaves out those whose ReplicaSet is gone; scripts get it as
    it is, and a person a line on standard error."""
    all_there = [msgspec.structs.replace(ROWS[0], revision=each) for each in (1, 2, 3)]

    rollout._hint_at_older(all_there[1:])
    monkeypatch.setattr(printing, "is_person_told", lambda: True)
    rollout._hint_at_older(all_there)
    silent = capsys.readouterr()
    rollout._hint_at_older(all_there[1:])
    told = capsys.readouterr()

    assert (silent.out, silent.err, told.out) == ("", "", "")
    assert told.err == "Revisions whose ReplicaSet is gone are listed by --all.\n"
