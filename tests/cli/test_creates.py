"""`create` of plain objects: kubectl's options, and its words (spec 6.9)."""

import base64
from pathlib import Path

import msgspec
import pytest

from tests.cli.service import Ran, Service

pytestmark = pytest.mark.asyncio(loop_scope="module")


def sent(service: Service) -> dict[str, object]:
    """The manifest of the only command."""
    ((_, message),) = service.commands
    body = msgspec.json.decode(bytes(message.body), type=dict[str, dict[str, object]])
    manifest = body["manifest"]
    return {key: manifest[key] for key in manifest if key != "apiVersion"}


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (("namespace", "one"), "Namespace", "namespace/one created\n"),
        (("ns", "one"), "Namespace", "namespace/one created\n"),
        (("serviceaccount", "one"), "ServiceAccount", "serviceaccount/one created\n"),
        (("configmap", "one"), "ConfigMap", "configmap/one created\n"),
    ],
)
async def test_an_object_is_created_by_its_name(
    service: Service, words: tuple[str, ...], kind: str, said: str
) -> None:
    """One command with the manifest that kubectl makes of the words."""
    ran = await service.run("create", *words)

    assert ran == Ran(0, said, "")
    assert sent(service)["kind"] == kind


async def test_a_configmap_is_made_of_words_and_files(
    service: Service, tmp_path: Path
) -> None:
    """A file by its name or by another, a folder, and what is no text in base64."""
    (tmp_path / "a.conf").write_text("a")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.bin").write_bytes(b"\xff\x00")
    (folder / "no key").write_text("its name cannot be one")
    options = (
        "--from-literal=color=blue=green",
        f"--from-file={tmp_path}/a.conf",
        f"--from-file=c={tmp_path}/a.conf",
        f"--from-file={folder}",
    )

    ran = await service.run("create", "configmap", "one", *options)

    assert ran == Ran(0, "configmap/one created\n", "")
    assert sent(service) == {
        "kind": "ConfigMap",
        "metadata": {"name": "one"},
        "data": {"a.conf": "a", "c": "a", "color": "blue=green"},
        "binaryData": {"b.bin": base64.b64encode(b"\xff\x00").decode()},
    }


async def test_a_secret_is_kept_in_base64(service: Service) -> None:
    """Its type is Opaque unless another one is given."""
    literal = "--from-literal=password=hush"

    ran = await service.run("create", "secret", "generic", "one", literal)

    assert ran == Ran(0, "secret/one created\n", "")
    found = sent(service)
    assert found["data"] == {"password": base64.b64encode(b"hush").decode()}
    assert (found["kind"], found["type"]) == ("Secret", "Opaque")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("configmap",), "error: exactly one NAME is required, got 0\n"
         "See 'rollbook create configmap -h' for help and examples\n"),
        (("configmap", "a", "--from-literal=b"),
         "error: invalid literal source b, expected key=value\n"),
        (("configmap", "a", "--from-literal=b c=d"),
         'error: "b c" is not a valid key name: a valid config key must consist of '
         "alphanumeric characters, '-', '_' or '.'\n"),
        (("configmap", "a", "--from-literal=b=1", "--from-literal=b=2"),
         'error: cannot add key "b", another key by that name already exists in Data '
         'for ConfigMap "a"\n'),
        (("configmap", "a", "--from-file=nowhere"),
         "error: error reading nowhere: no such file or directory\n"),
        (("configmap", "a", "--from-file==x"),
         "error: key name for file path x missing\n"),
        (("secret", "generic", "a", "--from-literal=b=1", "--from-literal=b=2"),
         "error: cannot add key b, another key by that name already exists\n"),
    ],
)  # fmt: skip
async def test_what_cannot_be_made_is_told_and_not_sent(
    service: Service, words: tuple[str, ...], said: str
) -> None:
    """kubectl's words, before anything is asked of the cluster."""
    ran = await service.run("create", *words)

    assert ran == Ran(1, "", said)
    assert not service.commands
