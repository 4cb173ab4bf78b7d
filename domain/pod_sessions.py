"""Whether a session with a container may begin: exec and attach.

1. A session changes nothing that Rollbook keeps, so it makes no event. It is a command
   all the same: the log tells who ran what in which pod, the refused ones too.
2. What can be known from the log is decided here; whether the container runs at this
   moment, its node knows.
"""

from typing import Final

import msgspec

from domain import podspec
from domain.errors import Rejected, not_found
from domain.pod import Pod

COMMAND_BYTES_MAX: Final = 64 * 1024


class ExecPod(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """Run `command` in a container of this pod, in a session of the one who asks.

    Nothing changes by it; it is a command so that the log tells who ran what where.
    `container` "" is the only one.
    """

    command: tuple[str, ...]
    container: str = ""
    stdin: bool = False
    tty: bool = False


class AttachPod(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True
):
    """See what a container of this pod says from now on, and speak to it."""

    container: str = ""
    stdin: bool = False
    tty: bool = False


Command = ExecPod | AttachPod


def container(
    state: Pod | None, spec: podspec.PodSpec, name: str, asked: Command
) -> str:
    """The container that the session is with, of the pod `name` as it is.

    Raises `Rejected`: NotFound for no pod, BadRequest for a container that it does not
    have, for a pod that is on no node or has ended, and for no command.
    """
    if state is None:
        raise not_found("pods", name)
    chosen = _container(spec, name, asked.container)
    if not state.node:
        raise Rejected("BadRequest", f"pod {name} does not have a host assigned")
    if state.terminal:
        raise Rejected(
            "BadRequest",
            "cannot exec into a container in a completed pod; current phase is "
            f"{state.phase}",
        )
    if isinstance(asked, ExecPod):
        _check_command(asked.command)
    return chosen


def _container(spec: podspec.PodSpec, pod_name: str, wanted: str) -> str:
    known = [each.name for each in spec.containers]
    inits = [each.name for each in spec.init_containers]
    if wanted:
        if wanted not in known + inits:
            text = f"container {wanted} is not valid for pod {pod_name}"
            raise Rejected("BadRequest", text)
        return wanted
    if len(known) != 1:
        raise Rejected(
            "BadRequest",
            f"a container name must be specified for pod {pod_name}, choose one of: "
            f"[{' '.join(known)}]",
        )
    return known[0]


def _check_command(words: tuple[str, ...]) -> None:
    if not words or not words[0]:
        raise Rejected("BadRequest", "you must specify at least one command")
    if any("\0" in word for word in words):
        raise Rejected("BadRequest", "a command's words cannot hold a NUL byte")
    if sum(len(word.encode(errors="replace")) for word in words) > COMMAND_BYTES_MAX:
        text = f"a command may have {COMMAND_BYTES_MAX} bytes: copy a script instead"
        raise Rejected("BadRequest", text)
