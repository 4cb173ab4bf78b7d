"""`rollout configure | promote | abort`: what they send, and what they refuse."""

import json
from pathlib import Path

import pytest

from tests.cli.service import Ran, Service
from tests.cli.world import with_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHECKS = """\
- name: error-rate
  prometheus: rate
  max: 0.05
"""


async def test_configure_writes_the_annotations(
    service: Service, tmp_path: Path
) -> None:
    """What is given, and nothing else; checks from YAML as compact JSON."""
    with_nginx(service)
    (tmp_path / "checks.yaml").write_text(CHECKS)

    ran = await service.run(
        "rollout",
        "configure",
        "deployment/nginx",
        "--steps=10%, analyse",
        "--auto-rollback=",
        f"--analysis={tmp_path / 'checks.yaml'}",
    )

    assert ran == Ran(0, "deployment.apps/nginx configured\n", "")
    ((subject, message),) = service.commands
    assert subject.verb == "annotate"
    assert json.loads(bytes(message.body)) == {
        "changes": {
            "rollbook/auto-rollback": None,
            "rollbook/steps": "10%, analyse",
            "rollbook/analysis": '[{"name":"error-rate","prometheus":"rate",'
            '"max":0.05}]',
        },
        "overwrite": True,
    }


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give one of --auto-rollback, --steps and --analysis"),
        (("--analysis=/nowhere.yaml",), "cannot read /nowhere.yaml"),
    ],
)
async def test_configure_refuses(
    service: Service, words: tuple[str, ...], says: str
) -> None:
    """One sentence, and nothing is sent."""
    with_nginx(service)
    ran = await service.run("rollout", "configure", "deployment/nginx", *words)
    assert (ran.status, ran.out) == (1, "")
    assert says in ran.err
    assert not service.commands


async def test_a_file_that_is_no_list_of_checks(
    service: Service, tmp_path: Path
) -> None:
    """What is wrong is said with its field before anything is sent."""
    (tmp_path / "bad.json").write_text('[{"name": "a", "metric": "b"}]')
    file = str(tmp_path / "bad.json")
    ran = await service.run("rollout", "configure", "deploy/nginx", "--analysis", file)
    assert "checks[0].min, max" in ran.err


@pytest.mark.parametrize(
    ("words", "verb", "body", "done"),
    [
        (("promote",), "promote", {}, "promoted"),
        (("promote", "--full"), "promote", {"full": True}, "promoted"),
        (("abort",), "abort", {}, "aborted"),
    ],
)
async def test_promote_and_abort(
    service: Service,
    words: tuple[str, ...],
    verb: str,
    body: dict[str, object],
    done: str,
) -> None:
    """One command each."""
    with_nginx(service)
    first, *rest = words
    ran = await service.run("rollout", first, "deployment/nginx", *rest)
    assert ran == Ran(0, f"deployment.apps/nginx {done}\n", "")
    ((subject, message),) = service.commands
    assert (subject.verb, json.loads(bytes(message.body))) == (verb, body)


async def test_other_kinds_have_no_steps(service: Service) -> None:
    """Pods are not rolled out."""
    service.add("pod", "nginx-1")
    ran = await service.run("rollout", "promote", "pod/nginx-1")
    assert ran.status == 1
    assert 'no promoter has been implemented for "Pod"' in ran.err
