"""What a shell offers on a press of the tab key, with a cluster that answers.

Without one there are verbs and types alone (test_commandline.py).
"""

import pytest

from tests.cli.service import Service
from tests.cli.world import with_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFFERED = (
    ("rollbook get pod/", ["pod/web-1"]),
    ("rollbook get deployment ngi", ["nginx"]),
    ("rollbook rollout undo deploy/", ["deploy/nginx"]),
    ("rollbook logs we", ["web-1"]),
    ("rollbook exec we", ["web-1"]),
    ("rollbook attach we", ["web-1"]),
    ("rollbook top pods we", ["web-1"]),
    ("rollbook top nodes ", ["worker-1"]),
    ("rollbook cordon ", ["worker-1"]),
    ("rollbook -n ", ["default"]),
    ("rollbook get pods -o js", ["json", "jsonpath="]),
    ("rollbook scale deployment nginx -o ", ["name", "json", "yaml"]),
    ("rollbook help rollout und", ["undo"]),
    ("rollbook help roll", ["rollout"]),
)


@pytest.mark.parametrize(("line", "offered"), OFFERED)
async def test_names_are_completed(
    service: Service, line: str, offered: list[str]
) -> None:
    """Names of live objects, formats and verbs, wherever they may stand."""
    with_nginx(service)
    words = line.split(" ")

    ran = await service.run(
        _ROLLBOOK_COMPLETE="bash_complete",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
    )

    assert ran.err == ""
    assert [each.partition(",")[2] for each in ran.out.split()] == offered
