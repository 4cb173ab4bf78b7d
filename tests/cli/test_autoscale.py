"""`rollbook autoscale`, in kubectl's words (spec 6.10)."""

import pytest

from rollbook.commands import autoscale
from rollbook.failures import Failure
from tests.cli.service import Service
from tests.cli.world import refused, with_nginx

DEPRECATED = autoscale._DEPRECATED


def metric(resource: str, **target: object) -> dict[str, object]:
    """A metric of a resource, as a manifest has it."""
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


@pytest.mark.parametrize(
    ("resource", "text", "target"),
    [
        ("cpu", "80%", {"type": "Utilization", "averageUtilization": 80}),
        ("cpu", "500m", {"type": "AverageValue", "averageValue": "500m"}),
        ("cpu", "500", {"type": "AverageValue", "averageValue": "500m"}),
        ("memory", "200", {"type": "AverageValue", "averageValue": "200Mi"}),
        ("memory", "1Gi", {"type": "AverageValue", "averageValue": "1Gi"}),
        ("memory", "70%", {"type": "Utilization", "averageUtilization": 70}),
    ],
)
def test_what_a_flag_means(resource: str, text: str, target: dict[str, object]) -> None:
    """Spec 6.10: a percentage, a quantity, or a bare number of milli or Mi."""
    assert autoscale.metric(resource, text) == metric(resource, **target)


@pytest.mark.parametrize(
    ("resource", "text", "said"),
    [
        ("cpu", "x%", "error: invalid percentage value: x"),
        ("cpu", "0%", "error: invalid percentage value: 0"),
        ("cpu", "x", "error: invalid resource cpu value: x"),
        ("cpu", "-1", "error: invalid resource cpu value: -1"),
        ("memory", "0", "error: invalid resource memory value: 0"),
    ],
)
def test_a_flag_that_means_nothing(resource: str, text: str, said: str) -> None:
    """Spec 6.10: what is no percentage or quantity above zero is refused."""
    with pytest.raises(Failure) as caught:
        autoscale.metric(resource, text)
    assert str(caught.value) == said


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("line", "out", "err"),
    [
        ("deployment nginx --min=2 --max=10 --cpu=80%", "autoscaled", ""),
        ("deploy/nginx --max=3 --name=nginx", "autoscaled", ""),
        ("deployment/nginx --max=3 --dry-run=client", "created (dry run)", ""),
        ("deployment/nginx --max=3 --cpu-percent=50", "autoscaled", DEPRECATED),
    ],
)
async def test_it_is_told_in_kubectls_words(
    service: Service, line: str, out: str, err: str
) -> None:
    """Spec 6.10: the autoscaler of the Deployment is created."""
    with_nginx(service)
    ran = await service.run("autoscale", *line.split())
    told = f"horizontalpodautoscaler.autoscaling/nginx {out}"
    assert (ran.out.rstrip("\n"), ran.err.rstrip("\n"), ran.status) == (told, err, 0)
    if "dry-run" not in line:
        [(subject, _)] = service.commands
        assert subject[2:] == ("horizontalpodautoscaler", "nginx", "create")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("line", "err"),
    [
        (
            "deployment/nginx",
            "error: --max=MAXPODS is required and must be at least 1, max: 0",
        ),
        (
            "deployment/nginx --max=1 --min=2",
            "error: --max=MAXPODS must be larger or equal to --min=MINPODS, max: 1, "
            "min: 2",
        ),
        (
            "deployment/nginx --max=3 --cpu=5% --cpu-percent=5",
            f"{DEPRECATED}\nerror: --cpu-percent and --cpu are mutually exclusive",
        ),
        (
            "node/worker-1 --max=3",
            "error: cannot autoscale a Node: could not find a scale of it",
        ),
        (
            "deployment/nginx --max=3",
            "error: failed to create autoscaling/v2 HPA and the configuration is "
            "incompatible with autoscaling/v1: empty input",
        ),
        (
            "deployment/nginx --max=3 --cpu=80%",
            "Error from server (AlreadyExists): "
            'horizontalpodautoscalers.autoscaling "nginx" already exists',
        ),
    ],
)
async def test_failures_are_told_in_kubectls_words(
    service: Service, line: str, err: str
) -> None:
    """Spec 6.10: the table of its errors; an autoscaler of the name is there."""
    with_nginx(service)
    text = 'horizontalpodautoscalers.autoscaling "nginx" already exists'
    service.decide = refused("AlreadyExists", text)
    ran = await service.run("autoscale", *line.split())
    assert (ran.out, ran.err.rstrip("\n"), ran.status) == ("", err, 1)
