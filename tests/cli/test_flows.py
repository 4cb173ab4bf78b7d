"""The command line where one line is not all: files, histories, watches, logs, drains.

The console script runs as a process of its own, on a real broker.
"""

import asyncio
import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from adapters import nats_wire
from domain import queries
from domain.protocol import Answer, CommandMessage
from tests.cli.service import ROLLBOOK, Ran, Service
from tests.cli.world import STATUS, refused, unchanged, with_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")

# --- files

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
"""


async def test_apply_says_what_became_of_each_document(
    service: Service, tmp_path: Path
) -> None:
    """One line for each: what was there is configured, what was not is created."""
    with_nginx(service)
    (tmp_path / "two.yaml").write_text(MANIFEST)

    ran = await service.run("apply", "-f", str(tmp_path), "--cause", "release 2")

    assert ran == Ran(
        0, "deployment.apps/nginx configured\ndeployment.apps/other created\n", ""
    )
    assert [message.cause for _, message in service.commands] == ["release 2"] * 2


async def test_apply_of_the_same_is_unchanged(service: Service) -> None:
    """Standard input is a file too."""
    with_nginx(service)
    service.decide = unchanged()

    ran = await service.run("apply", "-f", "-", stdin=MANIFEST.partition("---")[0])

    assert ran == Ran(0, "deployment.apps/nginx unchanged\n", "")


INVALID = 'Deployment.apps "nginx" is invalid: …'


@pytest.mark.parametrize(
    ("decide", "err"),
    [
        (
            refused("Invalid", INVALID, "spec.a"),
            'The Deployment "nginx" is invalid: spec.a: Invalid value: 0\n',
        ),
        (
            refused("Invalid", INVALID, "spec.a", "spec.b"),
            'The Deployment "nginx" is invalid: \n'
            "* spec.a: Invalid value: 0\n* spec.b: Invalid value: 0\n",
        ),
        (
            refused("BadRequest", "strict decoding error"),
            'Error from server (BadRequest): error when creating "STDIN": strict '
            "decoding error\n",
        ),
        (
            refused("AlreadyExists", 'deployments.apps "nginx" already exists'),
            'Error from server (AlreadyExists): error when creating "STDIN": '
            'deployments.apps "nginx" already exists\n',
        ),
    ],
)
async def test_a_refused_manifest_names_its_file_or_its_fields(
    service: Service, decide: Callable[..., Answer], err: str
) -> None:
    """The forms of spec 6.1, as the transcript has them."""
    service.decide = decide
    stdin = MANIFEST.partition("---")[0]

    ran = await service.run("create", "-f", "-", stdin=stdin)

    assert ran == Ran(1, "", err)


@pytest.mark.parametrize(
    ("kind", "version", "told"),
    [
        ("Service", "v1", 'no matches for kind "Service" in version "v1"'),
        (
            "Deploymet",
            "apps/v1",
            'no matches for kind "Deploymet" in version "apps/v1", did you mean '
            "Deployment in apps/v1?",
        ),
        (
            "Deployment",
            "apps/v1beta1",
            'no matches for kind "Deployment" in version "apps/v1beta1", did you mean '
            "Deployment in apps/v1?",
        ),
        ("", "v1", "kind is missing: every object needs apiVersion and kind"),
        ("Pod", "", "apiVersion is missing: every object needs apiVersion and kind"),
    ],
)
@pytest.mark.parametrize("verb", ["apply", "create", "delete"])
async def test_an_unknown_kind_is_refused_before_anything_is_sent(
    service: Service, verb: str, kind: str, version: str, told: str
) -> None:
    """There is nowhere to send it to; the file is named, and what may be meant."""
    manifest = f'kind: "{kind}"\napiVersion: "{version}"\n'
    ran = await service.run(verb, "-f", "-", stdin=manifest)

    assert ran == Ran(1, "", f'error: unable to recognize "STDIN": {told}\n')
    assert not service.commands


async def test_record_writes_the_command_line_as_the_cause(service: Service) -> None:
    """As kubectl does it, with its warning (spec 6.7)."""
    line = "set image deployment/nginx nginx=nginx:1.91 --record"

    ran = await service.run(*line.split())

    assert ran.err.startswith("Flag --record has been deprecated")
    assert service.commands[0][1].cause == f"rollbook {line}=true"


# --- rollouts


async def test_an_undo_to_what_runs_already_is_skipped(service: Service) -> None:
    """The server's words behind the object; status 0 (spec 6.8)."""
    text = "skipped rollback (current template already matches revision 5)"
    service.decide = unchanged(text)

    ran = await service.run("rollout", "undo", "deploy/nginx", "--to-revision=5")

    assert ran == Ran(0, f"deployment.apps/nginx {text}\n", "")


async def test_an_image_that_is_there_already_says_nothing(service: Service) -> None:
    """Nothing printed, status 0 (spec 6.7)."""
    service.decide = unchanged()

    ran = await service.run("set", "image", "deploy/nginx", "nginx=nginx:1.9.1")

    assert ran == Ran(0, "", "")


async def test_a_rollout_is_watched_line_by_line(service: Service) -> None:
    """A line for each change of the Deployment, the last one says that it is done."""
    with_nginx(service)
    nginx = service.objects["deployment/nginx"]
    stages = iter((1, 2, 3))

    def look(data: bytes) -> queries.GetAnswer:
        asked = msgspec.json.decode(data, type=queries.GetQuery)
        if asked.wait_for:
            nginx["status"] = {**STATUS, "updatedReplicas": next(stages, 3)}
        return queries.GetAnswer(items=(msgspec.Raw(msgspec.json.encode(nginx)),))

    nginx["status"] = {**STATUS, "updatedReplicas": 1}
    service.answers["get"] = look
    running = asyncio.create_task(service.run("rollout", "status", "deploy/nginx"))
    position = 10
    while not running.done():
        position += 1
        await service.commit(position)
        await asyncio.sleep(0.05)
    ran = await running

    head = 'Waiting for deployment "nginx" rollout to finish: '
    assert ran.out.splitlines() == [
        f"{head}1 out of 3 new replicas have been updated...",
        f"{head}2 out of 3 new replicas have been updated...",
        'deployment "nginx" successfully rolled out',
    ]
    assert (ran.status, ran.err) == (0, "")


# --- watching, logs, the log, status


async def test_a_watch_prints_what_changes(service: Service) -> None:
    """The table first, then the row that changed, in the same columns.

    Ctrl-C ends it without a word, with the status that shells expect.
    """
    with_nginx(service)
    process = await asyncio.create_subprocess_exec(
        str(ROLLBOOK), "get", "pods", "-w", "--context", str(service.context_file),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"NAME    DESIRED   AGE\n"
            assert await process.stdout.readline() == b"web-1   1         9s\n"
            service.add("pod", "web-2")
            reading = asyncio.create_task(process.stdout.readline())
            while not reading.done():
                await service.commit(20)
                await asyncio.sleep(0.05)
            assert await reading == b"web-2   1         9s\n"
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (process.returncode, err) == (130, b"")


async def test_logs_of_a_deployment_are_those_of_a_pod(service: Service) -> None:
    """The bytes as they were written; what was chosen goes to standard error."""
    with_nginx(service)
    service.add("pod", "web-2", spec={"nodeName": "worker-1"})
    service.logs = [
        (b"\xff one\n", {"Rollbook-Part": "1"}),
        (b"", {"Rollbook-End": "1"}),
    ]

    ran = await service.run("logs", "deploy/nginx", "--tail=5", "--since=1m", "-c", "a")

    assert (ran.status, ran.out) == (0, "\udcff one\n")
    assert ran.err == "Found 2 pods, using pod/web-1\n"
    request = service.log_requests[0]
    assert (request["tail"], request["sinceSeconds"]) == (5, 60.0)


async def test_the_log_prints_events_as_lines_of_json(service: Service) -> None:
    """One object a line, in order."""
    event = queries.LogRow(
        position=4, stream="deployment/default/nginx", version=2,
        type="DeploymentScaled", at="2026-11-23T06:18:47.000000Z", actor="user/admin",
        cause=3, command="c", event=msgspec.Raw(b'{"before":3,"after":4}'),
    )  # fmt: skip
    service.answers["log"] = lambda _: queries.LogAnswer(
        position=4, last=4, events=(event,)
    )

    as_json = await service.run("log", "deployment/nginx", "-o", "json")
    as_text = await service.run("log", "deployment/nginx", "-o", "wide")

    [line] = as_json.out.splitlines()
    assert json.loads(line)["event"] == {"before": 3, "after": 4}
    assert re.search(r"^4 .*user/admin.*DeploymentScaled cause=3 \{", as_text.out)


@pytest.mark.parametrize(
    ("lag", "ready", "status"), [(0, "True", 0), (0, "Unknown", 1)]
)
async def test_status_is_0_only_when_all_is_well(
    service: Service, lag: int, ready: str, status: int
) -> None:
    """Each process has a line; one that is not well makes the status 1."""
    conditions = [{"type": "Ready", "status": ready, "message": "not heard"}]
    service.add("node", "worker-1", status={"conditions": conditions})
    service.answers["status"] = lambda _: queries.StatusAnswer(
        position=10 - lag, committed=10, control_heard_at=time.time(), started_at=1.0
    )

    ran = await service.run("status")

    assert ran.status == status
    names = [line.split()[0] for line in ran.out.splitlines()]
    assert names == ["PROCESS", "control", "api", "kubelet/worker-1"]


async def test_an_empty_list_is_told_on_standard_error(service: Service) -> None:
    """Status 0, and nothing for a script to stumble over (spec 6.2)."""
    assert await service.run("get", "deployments") == Ran(
        0, "", "No resources found in default namespace.\n"
    )
    assert await service.run("get", "nodes") == Ran(0, "", "No resources found\n")


async def test_a_server_that_does_not_answer_is_told(service: Service) -> None:
    """One sentence, status 1, no traceback."""
    service.lost_commands = 100

    ran = await service.run("rollout", "pause", "deploy/nginx", ROLLBOOK_TIMEOUT="0.3")

    assert ran.status == 1
    assert re.fullmatch(r"error: the command \S+ was not answered within .*\n", ran.err)


async def test_a_drain_that_may_not_be_says_why(service: Service) -> None:
    """kubectl's words for a pod that nothing would replace; no pod is evicted."""
    with_nginx(service)

    ran = await service.run("drain", "worker-1")

    why = (
        "cannot delete cannot delete Pods that declare no controller (use --force to "
        "override): default/web-1"
    )
    assert ran == Ran(
        1,
        "node/worker-1 cordoned\n",
        f'error: unable to drain node "worker-1" due to error: {why}, continuing '
        "command...\nThere are pending nodes to be drained:\n worker-1\n"
        f"error: {why}\n",
    )
    assert [subject.verb for subject, _ in service.commands] == ["cordon"]


async def test_a_deleted_pod_is_waited_for(service: Service) -> None:
    """The command ends when this very pod is gone, not when one of its name is back."""
    with_nginx(service)

    def decide(_: nats_wire.CommandSubject, message: CommandMessage) -> Answer:
        service.add("pod", "web-1", metadata={"uid": "another"})
        return Answer(id=message.id, result="accepted", position=9)

    service.decide = decide

    ran = await service.run("delete", "pod", "web-1")

    assert ran == Ran(0, 'pod "web-1" deleted from default namespace\n', "")
