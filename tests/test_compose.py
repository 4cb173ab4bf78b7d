"""docker-compose.yml says what the code does: no container is started here.

Each rule about a service is a function from the service to complaints, and is shown
on a planted service that it can complain.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import click
import pytest
import yaml

from tests import commandline

ROOT = Path(__file__).parent.parent

# The broker's versions before these have authentication advisories.
NATS_VERSION_MIN = (2, 12, 7)
POSTGRES_VERSION_MIN = (14,)
RUN_ONCE = {"setup", "cli"}

# A parsed YAML document has no better type than this.
Compose = dict[str, Any]


def compose() -> Compose:
    """The file with its anchors and merges resolved."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    return cast(Compose, yaml.safe_load(text))


COMPOSE = compose()
SERVICES: dict[str, Compose] = COMPOSE["services"]
OURS = {name: it for name, it in SERVICES.items() if it["image"] == "rollbook"}


# ── the rules ─────────────────────────────────────────────────────────────────────────


def unparsable_commands(main: click.Group, service: Compose) -> Iterator[str]:
    """A command or a health check that our command line does not know."""
    lines = [service["command"]]
    test = service.get("healthcheck", {}).get("test", [])
    if test[:2] == ["CMD", "rollbook"]:
        lines.append(test[2:])
    for line in lines:
        try:
            commandline.parse(main, line)
        except click.UsageError as error:
            yield f"{' '.join(line)}: {error.format_message()}"


def unknown_variables(settings: Mapping[str, str], service: Compose) -> Iterator[str]:
    """A variable that no setting reads: a misspelt one is silently without effect."""
    for name in service.get("environment", {}):
        if name not in settings:
            yield f"{name} is read by no setting"


def undeclared_volumes(volumes: Compose, service: Compose) -> Iterator[str]:
    """A mount from a volume that is not declared; a folder of the host is none."""
    for mount in service.get("volumes", []):
        source = mount.partition(":")[0]
        if source not in volumes:
            yield f"{mount} is from no declared volume"


def unmet_conditions(
    services: Mapping[str, Compose], service: Compose
) -> Iterator[str]:
    """A wait for something that never comes about: then `up` hangs."""
    for name, wait in service.get("depends_on", {}).items():
        other = services.get(name, {})
        condition = wait["condition"]
        if condition == "service_healthy" and "healthcheck" not in other:
            yield f"{name} has no health check"
        restart = other.get("restart")
        if condition == "service_completed_successfully" and restart != "no":
            yield f"{name} never completes"


def contexts_out_of_reach(service: Compose) -> Iterator[str]:
    """A context that is on none of the service's volumes."""
    context = service.get("environment", {}).get("ROLLBOOK_CONTEXT")
    targets = [mount.split(":")[1] for mount in service.get("volumes", [])]
    if context and not any(context.startswith(f"{target}/") for target in targets):
        yield f"{context} is on none of {targets}"


def version(image: str) -> tuple[int, ...]:
    """The numbers of an image's tag: nats:2.12.7-alpine → (2, 12, 7)."""
    found = re.fullmatch(r"[a-z]+:([0-9.]+)(-[a-z]+)?", image)
    assert found, f"{image} has no tag that is a version"
    return tuple(int(part) for part in found[1].split("."))


# ── the file keeps them ───────────────────────────────────────────────────────────────


def test_the_file_has_the_whole_system() -> None:
    """The services are those of ARCHITECTURE.md, and no obsolete `version` is given."""
    assert set(COMPOSE) - {key for key in COMPOSE if key.startswith("x-")} == {
        "configs",
        "name",
        "services",
        "volumes",
    }
    assert set(SERVICES) >= {"nats", "postgres", "control", "api", "kubelet-1"}
    assert "setup" in OURS


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_of_ours(name: str) -> None:
    """Our command line accepts what a container runs, and what checks its health."""
    assert not list(unparsable_commands(commandline.group(), OURS[name]))


@pytest.mark.parametrize("name", OURS)
def test_each_variable_is_read(name: str) -> None:
    """Every variable that a container is given is one that the settings read."""
    settings = importlib.import_module("rollbook.settings").ENVIRONMENT

    assert not list(unknown_variables(settings, OURS[name]))


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_can_start(name: str) -> None:
    """Volumes are declared, waits can end, contexts are where a volume is."""
    service = SERVICES[name]

    assert not list(undeclared_volumes(COMPOSE["volumes"], service))
    assert not list(unmet_conditions(SERVICES, service))
    assert not list(contexts_out_of_reach(service))


@pytest.mark.parametrize("name", sorted(set(SERVICES) - RUN_ONCE))
def test_each_lasting_service_says_that_it_is_well(name: str) -> None:
    """A service that stays has a health check and comes back after a failure."""
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_only_this_machine_reaches_what_is_published() -> None:
    """A port without an address would be open to every network of the host."""
    published = [each for it in SERVICES.values() for each in it.get("ports", [])]

    assert published
    assert all(each.startswith("127.0.0.1:") for each in published)


def test_every_volume_is_used() -> None:
    """No volume is declared for nobody."""
    used = {
        mount.partition(":")[0]
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
    }

    assert used == set(COMPOSE["volumes"])


def test_each_secret_is_mounted_where_it_is_needed_only() -> None:
    """Apart from `setup`, which writes them, one service sees each volume."""
    for volume in COMPOSE["volumes"]:
        users = [
            name
            for name, service in SERVICES.items()
            if name != "setup"
            and any(it.startswith(f"{volume}:") for it in service.get("volumes", []))
        ]

        assert len(users) == 1, f"{volume} is seen by {users}"


def test_the_image_has_a_folder_for_each_volume() -> None:
    """A folder that is in the image and ours: else root owns the volume, and we not."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for mount in SERVICES["setup"]["volumes"]:
        folder = mount.split(":")[1].removeprefix("/")

        assert re.search(rf"(?<=\s){re.escape(folder)}(?=\s)", dockerfile)


def test_images_are_new_enough() -> None:
    """The broker has no known advisory; nothing follows a moving tag."""
    assert version(SERVICES["nats"]["image"]) >= NATS_VERSION_MIN
    assert version(SERVICES["postgres"]["image"]) >= POSTGRES_VERSION_MIN


def test_the_containers_are_not_root() -> None:
    """The image ends as its own user and starts the console script, in exec form."""
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    users = [line for line in lines if line.startswith("USER ")]

    assert users == ["USER rollbook"]
    assert 'ENTRYPOINT ["rollbook"]' in lines


def test_the_image_holds_every_package() -> None:
    """The Dockerfile and .dockerignore name each package that the wheel has."""
    packaging = importlib.import_module("tests.test_packaging")
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for package in packaging.PACKAGES:
        assert f"COPY {package} {package}" in dockerfile
        assert f"!{package}" in ignored


def test_the_second_file_gives_the_kubelets_an_engine() -> None:
    """It adds to services that are there; the engine and a kubelet see the same files
    at the same path, and pods are where a kubelet's probes reach them."""
    text = (ROOT / "docker-compose.containers.yml").read_text("utf-8")
    extra = cast(Compose, yaml.safe_load(text))
    settings = importlib.import_module("rollbook.settings").ENVIRONMENT
    kubelets = {name for name in SERVICES if name.startswith("kubelet")}

    assert set(extra["services"]) == kubelets | {"cli"}
    for name in kubelets:
        service = extra["services"][name]
        assert not list(unknown_variables(settings, service))
        data = service["environment"]["ROLLBOOK_DATA"]
        assert f"{data}:{data}" in service["volumes"]
        assert any(it.endswith(":/var/run/docker.sock") for it in service["volumes"])
        network = service["environment"]["ROLLBOOK_POD_NETWORK"]
        assert network in [
            extra["networks"][it].get("name")
            for it in service["networks"]
            if it != "default"
        ]
        assert "--runtime=auto" in SERVICES[name]["command"]


# ── and each rule can fail ────────────────────────────────────────────────────────────


@click.group()
def planted() -> None:
    """A command line to try the rules on."""


@planted.command()
@click.option("--node", required=True)
def kubelet(node: str) -> None:
    """Stands for one of our verbs."""


@pytest.mark.parametrize(
    ("command", "complaints"),
    [
        (["kubelet", "--node=worker-1"], 0),
        (["kubelet"], 1),
        (["kubelet", "--node=worker-1", "--colour"], 1),
        (["kubelets"], 1),
        (["--help"], 0),
    ],
)
def test_commands_are_parsed(command: list[str], complaints: int) -> None:
    """A missing option, an unknown one and an unknown verb are found."""
    found = list(unparsable_commands(planted, {"command": command}))

    assert len(found) == complaints


def test_health_checks_are_parsed() -> None:
    """A health check by our own command is parsed like a command."""
    test = ["CMD", "rollbook", "status"]
    service = {"command": ["--help"], "healthcheck": {"test": test}}

    assert len(list(unparsable_commands(planted, service))) == 1


@pytest.mark.parametrize(
    ("rule", "service"),
    [
        (unknown_variables, {"environment": {"ROLLBOOK_STROE": "x"}}),
        (undeclared_volumes, {"volumes": ["./here:/data"]}),
        (unmet_conditions, {"depends_on": {"a": {"condition": "service_healthy"}}}),
        (
            unmet_conditions,
            {"depends_on": {"a": {"condition": "service_completed_successfully"}}},
        ),
    ],
)
def test_each_rule_finds_a_planted_violation(rule: Any, service: Any) -> None:
    """No rule is one that cannot fail."""
    assert list(rule({}, service))


def test_a_context_out_of_reach_is_found() -> None:
    """The context of another role is not where this role's volume is."""
    environment = {"ROLLBOOK_CONTEXT": "/data/api/context.toml"}
    service = {"environment": environment, "volumes": ["control:/data/control"]}

    assert list(contexts_out_of_reach(service))
    assert not list(contexts_out_of_reach({"environment": {}}))
