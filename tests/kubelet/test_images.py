"""Image names as Docker reads them, and the catalogue."""

from pathlib import Path

import pytest

from kubelet import images

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(("name", "full"), [
    ("nginx", "docker.io/library/nginx:latest"),
    ("nginx:1.7.9", "docker.io/library/nginx:1.7.9"),
    ("library/nginx", "docker.io/library/nginx:latest"),
    ("docker.io/nginx", "docker.io/library/nginx:latest"),
    ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
    ("me/app", "docker.io/me/app:latest"),
    ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
    ("localhost/app", "localhost/app:latest"),
    ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
    (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
    (f"nginx:1.7.9@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
])  # fmt: skip
def test_names_are_completed(name: str, full: str) -> None:
    """Registry, `library/`, tag."""
    assert images.normalise(name) == full


@pytest.mark.parametrize("name", [
    "", " nginx", "NGINX", "nginx:", "nginx:a b", "nginx:-x", "a//b", "nginx@sha256:0",
    "../x", "nginx:" + "x" * 129,
])  # fmt: skip
def test_what_is_not_a_name_is_refused(name: str) -> None:
    """With Docker's sentence, the name in it."""
    with pytest.raises(ValueError, match="couldn't parse image name") as caught:
        images.normalise(name)
    assert f'"{name}"' in str(caught.value)


def test_upper_case_has_a_reason_of_its_own() -> None:
    """The most frequent mistake is named."""
    with pytest.raises(ValueError, match="must be lowercase"):
        images.normalise("Nginx:1.7.9")


@pytest.mark.parametrize("name", [
    "nginx:1.7.9", "nginx:1.9.1", "nginx:1.16.1", "nginx:1.27", "nginx",
    "busybox:1.36", "busybox", "registry.k8s.io/pause:3.9",
])  # fmt: skip
def test_the_catalogue_that_comes_along(name: str) -> None:
    """The images of the notes and of the examples can be run."""
    found = images.Catalogue().find(name)
    assert found is not None
    image, folder = found
    filled = images.fill(image, folder, args=(), values={"ip": "i", "port": "80"})
    assert filled.command
    assert not [word for word in filled.command if "{" in word]


def test_the_notes_bad_image_is_not_there() -> None:
    """`nginx:1.91`: the message of a registry."""
    assert images.Catalogue().find("nginx:1.91") is None
    assert images.not_found("nginx:1.91") == (
        'failed to pull and unpack image "docker.io/library/nginx:1.91": failed to '
        'resolve reference "docker.io/library/nginx:1.91": '
        "docker.io/library/nginx:1.91: not found"
    )


def test_ones_own_images_win_and_appear_without_a_restart(tmp_path: Path) -> None:
    """A miss reads the folder again; a broken file costs only itself."""
    catalogue = images.Catalogue((tmp_path,))
    assert catalogue.find("app:1") is None
    (tmp_path / "broken.toml").write_text("image = [")
    (tmp_path / "wrong.toml").write_text('image = "app:1"\ncommand = "no list"')
    (tmp_path / "app.toml").write_text('image = "app:1"\ncommand = ["run", "{root}"]')
    (tmp_path / "mine.toml").write_text('image = "nginx:1.7.9"\ncommand = ["mine"]')
    found = catalogue.find("app:1")
    assert found is not None
    filled = images.fill(*found, args=("x",), values={"root": "/r"})
    assert filled.command == ("run", "/r", "x")
    nginx = catalogue.find("nginx:1.7.9")
    assert nginx is not None
    assert nginx[0].command == ("mine",)
