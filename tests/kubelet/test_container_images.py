"""Who we are to a registry: the logins that Docker and Podman have left."""

import base64
import json
from pathlib import Path

import pytest

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
