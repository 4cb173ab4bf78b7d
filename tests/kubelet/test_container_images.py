"""Who we are to a registry, by the logins that Docker and Podman have left; and what a
node says of its images."""

import base64
import json
from pathlib import Path

import pytest

from adapters import engine_answers
from domain import protocol
from kubelet import container_images

ANN = base64.b64encode(b"ann:secret").decode()
BOB = base64.b64encode(b"bob:pass:word").decode()


def header(folder: Path, image: str, auths: object) -> dict[str, str] | None:
    """What is sent for an image where these are the logins; None for nobody's."""
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    environ = {"DOCKER_CONFIG": str(folder)}
    found = container_images.auth_header(image, environ)
    return json.loads(base64.urlsafe_b64decode(found)) if found else None


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("docker.io/library/nginx:1", "https://index.docker.io/v1/"),
        ("docker.io/library/nginx:1", "docker.io"),
        ("registry.example:5000/team/app:1", "registry.example:5000"),
        ("registry.example:5000/team/app:1", "https://registry.example:5000"),
        ("quay.io/team/app@sha256:" + 64 * "0", "quay.io/team"),
    ],
)
def test_a_login_is_found(tmp_path: Path, image: str, key: str) -> None:
    """By the registry, as each tool writes it, or by a part of the name."""
    found = header(tmp_path, image, {key: {"auth": BOB}, "other.io": {"auth": ANN}})
    assert found == {
        "username": "bob",
        "password": "pass:word",
        "serveraddress": image.partition("/")[0],
    }


def test_the_longest_part_of_a_name_wins(tmp_path: Path) -> None:
    """A team's login comes before that of its registry."""
    logins = {"quay.io": {"auth": ANN}, "quay.io/team": {"auth": BOB}}
    found = header(tmp_path, "quay.io/team/app:1", logins)
    assert found is not None
    assert found["username"] == "bob"


@pytest.mark.parametrize(
    "auths",
    [{}, {"other.io": {"auth": ANN}}, {"quay.io": {}}, {"quay.io": {"auth": "?"}}, 7],
)
def test_nobody_is_sent_where_nobody_logged_in(tmp_path: Path, auths: object) -> None:
    """Another registry's login is never sent; a file that cannot be read is none."""
    assert header(tmp_path, "quay.io/team/app:1", auths) is None
    assert container_images.auth_header("quay.io/a:1", {}) == ""


def test_the_first_file_with_a_login_is_taken(tmp_path: Path) -> None:
    """`REGISTRY_AUTH_FILE` before `DOCKER_CONFIG`."""
    named = tmp_path / "auth.json"
    named.write_text(json.dumps({"auths": {"quay.io": {"auth": ANN}}}))
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {"quay.io": {"auth": BOB}}})
    )
    environ = {"REGISTRY_AUTH_FILE": str(named), "DOCKER_CONFIG": str(tmp_path)}
    found = container_images.auth_header("quay.io/a:1", environ)
    assert b"ann" in base64.urlsafe_b64decode(found)


def listed(
    size: int, tags: tuple[str, ...] | None, digests: tuple[str, ...] | None = None
) -> engine_answers.ListedImage:
    """An image as an engine lists it."""
    return engine_answers.ListedImage(repo_tags=tags, repo_digests=digests, size=size)


def test_images_are_told_as_kubernetes_tells_them() -> None:
    """Digests before tags, the largest first, ties by name; who has no name is left
    out."""
    found = container_images.described(
        [
            listed(5, ("b:1",)),
            listed(7, ("web:2", "web:1"), ("web@sha256:1",)),
            listed(5, ("a:1",)),
            listed(9, ("<none>:<none>",), ("<none>@<none>",)),
            listed(9, None),
        ]
    )
    assert found == (
        protocol.ContainerImage(names=("web@sha256:1", "web:1", "web:2"), size_bytes=7),
        protocol.ContainerImage(names=("a:1",), size_bytes=5),
        protocol.ContainerImage(names=("b:1",), size_bytes=5),
    )


def test_not_all_images_of_a_full_machine_are_told() -> None:
    """The 50 largest with 5 names each, whatever order they come in."""
    names = tuple(f"n:{number}" for number in range(9))
    found = container_images.described(listed(size, names) for size in range(99))
    assert [each.size_bytes for each in found] == list(range(98, 48, -1))
    assert {each.names for each in found} == {names[:5]}
