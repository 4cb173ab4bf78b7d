"""Programs that the monitor's file allows: run one, and read its number.

1. What runs is in the file; what is measured is told in variables of the environment
   (`ROLLBOOK_NAMESPACE` and so on), never in a shell's words.
2. A program that takes too long is killed with all that it has started, and so is one
   when the monitor ends.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Final

from gateway.monitoring.configuration import Command
from gateway.monitoring.measured import Unmeasured, finite

OUTPUT_BYTES: Final = 64 * 1024
AT_ONCE: Final = 4
_KEPT: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")


class Commands:
    """Runs what is allowed, at most `AT_ONCE` at once."""

    def __init__(self, allowed: Mapping[str, Command]) -> None:
        self._allowed = allowed
        self._room = asyncio.Semaphore(AT_ONCE)

    async def number(self, name: str, about: Mapping[str, str]) -> float:
        """The number on the last line that the program writes; it must succeed.

        `about` becomes `ROLLBOOK_…` in its environment. Raises `Unmeasured`.
        """
        command = self._allowed.get(name)
        if command is None:
            known = ", ".join(sorted(self._allowed)) or "none"
            raise Unmeasured(
                f"the command {name!r} is not in the monitor's file; it allows: {known}"
            )
        environment = {key: os.environ[key] for key in _KEPT if key in os.environ}
        for key, value in about.items():
            environment[f"ROLLBOOK_{key.upper()}"] = value
        async with self._room:
            status, output = await _run(command, environment)
        lines = output.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1].strip() if lines else ""
        if status:
            raise Unmeasured(f"the command {name} ended with status {status}: {last}")
        if not last:
            raise Unmeasured(f"the command {name} wrote no number")
        return finite(last, f"the last line of {name}")


async def _run(command: Command, environment: dict[str, str]) -> tuple[int, bytes]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command.argv,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise Unmeasured(f"{command.argv[0]} cannot be started: {error}") from error
    try:
        async with asyncio.timeout(command.seconds):
            assert process.stdout is not None, "it is a pipe"
            output = await _tail(process.stdout)
            return await process.wait(), output
    except TimeoutError:
        raise Unmeasured(f"it took longer than {command.timeout}") from None
    finally:
        # Its whole group, also after its own end: nothing of it runs on.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The end of what is written, at most `OUTPUT_BYTES`; all of it is read."""
    kept = b""
    while piece := await stream.read(OUTPUT_BYTES):
        kept = (kept + piece)[-OUTPUT_BYTES:]
    return kept
