"""A whole Rollbook out of real processes, for tests: `rollbook up` in a folder.

What a test starts ends with it: the supervisor gets TERM, and KILL if it does not
obey; its children end with it (they are told by the kernel when it dies).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from adapters import eventstore
from domain import catalogue
from domain.events import Recorded

SCRIPT: Final = Path(sys.executable).with_name("rollbook")
START_SECONDS: Final = 90.0
PATIENCE_SECONDS: Final = 120.0


class System:
    """One cluster in `folder`; `options` go to `rollbook up` as they are."""

    def __init__(self, folder: Path, *options: str, store: str = "") -> None:
        self.folder = folder
        self.options = options
        self.store = store or f"sqlite://{folder}/rollbook.db"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Afterwards the ready line was said."""
        with (self.folder.parent / f"{self.folder.name}.err").open("a") as errors:
            self._process = subprocess.Popen(
                [
                    str(SCRIPT),
                    *("up", "--data", str(self.folder), "--store", self.store),
                    *("--runtime", "process"),  # unless the options say otherwise
                    *self.options,
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("ready"), f"{line!r}\n{self.errors()}"

    def stop(self) -> int:
        """Afterwards nothing of it runs; the exit status of the supervisor."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._process = None
        return process.returncode

    def errors(self) -> str:
        """What the supervisor and its children said on standard error."""
        texts = [(self.folder.parent / f"{self.folder.name}.err").read_text()]
        texts += [
            f"--- {log.name}\n{log.read_text()[-3000:]}"
            for log in sorted((self.folder / "logs").glob("*.log"))
        ]
        return "\n".join(texts)

    def pid(self, name: str) -> int:
        """The process id of a part: `control`, `api`, `nats`, a node's name."""
        pids = json.loads((self.folder / "processes.json").read_text())
        return int(pids[name])

    def kill(self, name: str) -> None:
        """Kill −9 of one part that this system started, if it runs at the moment."""
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.kill(self.pid(name), signal.SIGKILL)

    @property
    def context(self) -> Path:
        """The context of the local user."""
        return self.folder / "context.toml"

    def cli(self, *arguments: str, ok: bool = True) -> str:
        """What `rollbook` answers on standard output; it must succeed if `ok`."""
        done = subprocess.run(
            [str(SCRIPT), *arguments],
            env={**os.environ, "ROLLBOOK_CONTEXT": str(self.context)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if ok:
            assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout if ok else done.stdout + done.stderr

    def events(self) -> list[Recorded]:
        """The whole log, read from the store."""
        log = eventstore.open_log(self.store, read_only=True)
        try:
            rows = log.read(0, 1_000_000)
        finally:
            log.close()
        return [catalogue.decode(*row) for row in rows]


@contextlib.contextmanager
def running(folder: Path, *options: str, store: str = "") -> Iterator[System]:
    """A system that is ready, and that is gone afterwards.

    If the block fails, what the processes said is printed, so that the report of a
    test that fails elsewhere tells why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    system = System(folder, *options, store=store)
    try:
        system.start()
        yield system
    except BaseException:
        sys.stderr.write(system.errors())
        raise
    finally:
        system.stop()


def eventually(holds: Callable[[], object], what: str) -> None:
    """Waits until `holds()` is true or no longer raises; fails with `what`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    last: BaseException | None = None
    while time.monotonic() < deadline:
        try:
            if holds():
                return
            last = None
        except (AssertionError, LookupError, ValueError, OSError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"did not come true: {what}") from last
