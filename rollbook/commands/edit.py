"""`edit` and `replace -f`: whole manifests in the place of what is there.

1. `edit` shows what a user can change: no status, and no resourceVersion, because a pod
   that starts meanwhile must not make an edit of its Deployment a conflict.
2. It is a conflict where somebody else has changed what was shown. Nobody's change is
   overwritten, and no text that somebody typed is lost: it stays in a file.
"""

import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

import click

from domain import errors
from domain.protocol import Answer
from rollbook import conditions, failures, manifests, printing
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.commands.apply import send_files
from rollbook.failures import Failure
from rollbook.references import Reference

_HEAD: Final = """\
# Change the object below, save and leave. Lines that begin with # are left out.
# Nothing is changed if the file is left as it is, or empty.
#
"""
_TRIES: Final = 5
_CANCELLED: Final = "Edit cancelled, no changes made."


@click.command(cls=flags.Command)
@click.argument(
    "words", nargs=-1, metavar="TYPE NAME", shell_complete=common.complete_objects
)
@common.changing
@options.namespaced
def edit(words: tuple[str, ...], change: common.Change) -> None:
    """Change an object in an editor: that of VISUAL, of EDITOR, or vi.

    \b
    Examples:
      rollbook edit deployment nginx
      rollbook edit deployment/nginx --cause "more memory"
      EDITOR=nano rollbook edit configmap web
    """

    async def find(cluster: Cluster) -> tuple[Reference, Object]:
        choice = common.Choice(words=words)
        found = await common.targets(cluster, choice)
        if len(found) != 1:
            raise Failure("error: edit changes one object at a time: name one")
        return found[0], await cluster.get(found[0])

    # The editor runs between two connections: it may stay open for an hour.
    reference, shown = common.run(find)
    before = printing.as_yaml(editable(shown))
    try:
        text = click.edit(_HEAD + before, extension=".yaml")
    except click.ClickException as error:
        text = f"error: no editor could be run ({error.message}): name one in EDITOR"
        raise Failure(text) from None
    if text is None or not (wanted := _read(text)) or wanted == editable(shown):
        printing.talk(_CANCELLED)
        return

    async def work(cluster: Cluster) -> None:
        if cluster.of_manifest(wanted) != reference:
            raise Failure(f"error: {reference}: its kind and name cannot be changed")
        answer = None
        if change.dry_run != "client":
            answer = await _put(cluster, reference, shown, wanted, change)
        await common.done(cluster, change, reference, "edited", answer)

    try:
        common.run(work)
    except errors.RollbookError as error:
        raise Failure(_kept(text, error)) from error


def editable(found: Object) -> Object:
    """The object without what no user writes (rule 1)."""
    metadata = dict(conditions.map_at(found, "metadata"))
    for name in ("resourceVersion", "managedFields"):
        metadata.pop(name, None)
    kept = {name: value for name, value in found.items() if name != "status"}
    return {**kept, "metadata": metadata}


async def _put(
    cluster: Cluster,
    reference: Reference,
    shown: Object,
    wanted: Object,
    change: common.Change,
) -> Answer:
    """The answer to `wanted` in the object's place, if it is still as it was shown."""
    for tries_left in reversed(range(_TRIES)):
        now = await cluster.get(reference)
        if _of_user(now) != _of_user(shown):
            raise errors.Rejected(
                "Conflict",
                f'Operation cannot be fulfilled on {reference.kind.resource} "'
                f'{reference.name}": the object has been modified; please apply your '
                "changes to the latest version and try again",
            )
        version = conditions.text_at(now, "metadata", "resourceVersion")
        metadata = {**conditions.map_at(wanted, "metadata"), "resourceVersion": version}
        try:
            return await cluster.replace(
                {**wanted, "metadata": metadata}, **change.said
            )
        except errors.Rejected as error:
            if error.reason != "Conflict" or not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _of_user(found: Object) -> Object:
    """What makes an edit a conflict: all but what control counts by itself."""
    plain = editable(found)
    metadata = dict(conditions.map_at(plain, "metadata"))
    metadata.pop("generation", None)
    annotations = dict(conditions.map_at(metadata, "annotations"))
    annotations.pop("deployment.kubernetes.io/revision", None)
    return {**plain, "metadata": {**metadata, "annotations": annotations}}


def _read(text: str) -> Object:
    """The one object that was left in the editor; empty for none."""
    try:
        loaded = manifests.load(text, "the edited text")
    except errors.Rejected as error:
        raise Failure(_kept(text, Failure(f"error: {error.message}"))) from error
    if len(loaded) > 1:
        raise Failure(_kept(text, Failure("error: it has several documents")))
    return loaded[0].raw if loaded else {}


def _kept(text: str, error: Exception) -> str:
    """What is told of an edit that failed, once its text is in a file (rule 2)."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="rollbook-edit-", suffix=".yaml", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return (
        f"{failures.describe(error)}\n"
        f"Nothing was changed; what you have written is in {Path(file.name)}"
    )


# --- replace


@click.command(cls=flags.Command)
@common.from_files
@common.changing
@options.namespaced
def replace(files: tuple[str, ...], recursive: bool, change: common.Change) -> None:
    """Put what files say in the place of objects that are there.

    What a file leaves out is gone, or its default again. One with a resourceVersion is
    refused unless the object still has it.

    \b
    Examples:
      rollbook replace -f nginx-deployment.yaml
      rollbook get deploy nginx -o yaml | sed s/1.7.9/1.9.1/ | rollbook replace -f -
    """

    def send(cluster: Cluster, manifest: Object) -> Awaitable[Answer]:
        return cluster.replace(manifest, **change.said)

    send_files(files, recursive, change, send, doing="replacing", done="replaced")
