"""What is left of a log whose writer was killed."""

import itertools
import subprocess
import sys
import textwrap
import time

from adapters import eventlog
from tests.adapters import conftest
from tests.adapters.appends import assert_whole

CHILD = textwrap.dedent(
    """
    import itertools, sys
    from adapters import eventstore
    from adapters.eventlog import Tracking
    from tests.adapters.appends import append_number

    log = eventstore.open_log(sys.argv[1])
    for number in itertools.count(int(sys.argv[2]) + 1):
        log.append(append_number(number), [Tracking("commands", number)])
        print(number, flush=True)
    """
)


def test_killed_writer(durable_store: conftest.UrlStore) -> None:
    """S2: kill -9 between, in and after appends loses no answer and no half remains."""
    appended = 0
    for answers in (1, 5, 40):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, durable_store.url, str(appended)],
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdout is not None
            answered = [int(line) for line in itertools.islice(child.stdout, answers)]
            child.kill()
            answered += [int(line) for line in child.stdout if line.endswith("\n")]
        assert answered, "the child has not appended anything"

        log = reopened_after_crash(durable_store)
        appended = log.tracked("commands")
        log.close()

        assert appended in (answered[-1], answered[-1] + 1)
        assert_whole(durable_store, appended)


def reopened_after_crash(store: conftest.UrlStore) -> eventlog.EventLog:
    """A writer's handle; a server may need a moment to notice that a client is gone."""
    for _ in range(600):
        try:
            return store.open()
        except eventlog.AnotherWriter:
            time.sleep(0.05)
    raise AssertionError("the lock of a killed writer is still held after 30 s")
