"""A second control on the same store stands by, and takes over when the first dies."""

import signal
from pathlib import Path

import pytest

import rollbook
from tests.support import stores
from tests.support.composed import composed
from tests.support.system import eventually

STANDING_BY = "standing by while the log has a writer"
READY = "ready control"
MANIFEST: dict[str, object] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "nginx", "image": "nginx:1.9.1"}]},
        },
    },
}


@pytest.mark.e2e
@stores.both
@pytest.mark.asyncio
async def test_a_second_control_takes_over_from_one_that_is_killed(
    tmp_path: Path, store: str
) -> None:
    """It waits, says so once, and then knows every answer that the first has given."""
    with composed(tmp_path / "c", store) as system:
        context = system.environment("cli")["ROLLBOOK_CONTEXT"]
        async with rollbook.connect(context, seconds=60.0) as cluster:
            before = await cluster.create(MANIFEST, command_id="create-web")
            system.start("control", "second")
            eventually(lambda: STANDING_BY in system.said("second"), "it stands by")
            scaled = await cluster.scale("deployment/web", 3)
            assert READY not in system.said("second"), "the first one has the log"

            system.processes["control"].kill()

            eventually(lambda: READY in system.said("second"), "it takes over")
            assert await cluster.create(MANIFEST, command_id="create-web") == before
            after = await cluster.scale("deployment/web", 1)
        assert before.position < scaled.position < after.position
        assert system.said("second").count(STANDING_BY) == 1
        system.cli("rollout", "status", "deployment/web", "--timeout=180s")


@pytest.mark.e2e
@stores.both
def test_a_control_that_stands_by_ends_when_it_is_told(
    tmp_path: Path, store: str
) -> None:
    """TERM: status 0, and the one that works never notices."""
    with composed(tmp_path / "c", store) as system:
        second = system.start("control", "second")
        eventually(lambda: STANDING_BY in system.said("second"), "it stands by")
        second.send_signal(signal.SIGTERM)

        assert second.wait(60) == 0
        assert READY not in system.said("second")
        system.cli("create", "deployment", "web", "--image=nginx:1.9.1")
        assert system.is_well("control")
