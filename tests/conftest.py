"""What every test run starts from: a clean environment and a repeatable seed.

1. No setting of the person who runs the tests reaches a test: variables that start
   with `ROLLBOOK_` are removed before anything of ours is imported.
2. Nor does what they do with signals: a shell starts what it puts into the background
   with SIGINT ignored, some runners block signals, and every process that a test starts
   would inherit that, and overhear its Ctrl-C.
3. Property tests draw new examples in every run. In CI the seed of the whole run is
   drawn here and printed when something failed, so that the run can be repeated;
   at a desk Hypothesis keeps failing examples in its own database instead.
4. What a test has measured by the way (`record_property("measured", ...)`) is printed
   at the end of the run, whichever worker it ran in.
5. Nothing else lives here. Fixtures stand beside the tests that use them.
"""

import os
import secrets
import signal

import pytest
from hypothesis import HealthCheck, settings

SEED_BITS = 32
MEASURED = "measured"
"""The property under which a test records what it has cost, to be read in its run."""


def scrub(environment: dict[str, str]) -> dict[str, str]:
    """`environment` without the settings of Rollbook."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("ROLLBOOK_")
    }


for _name in os.environ.keys() - scrub(dict(os.environ)).keys():
    del os.environ[_name]

signal.pthread_sigmask(signal.SIG_SETMASK, ())
for _signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        _ours = (
            signal.default_int_handler if _signal == signal.SIGINT else signal.SIG_DFL
        )
        signal.signal(_signal, _ours)

# Two cores are shared by servers and workers: a slow example says nothing about us; nor
# does a large one, with seeds that nobody chose.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    settings.get_profile("dev"),
    max_examples=200,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """In CI, all workers of one run share one seed that is drawn here.

    xdist hands the options to its workers, so a worker finds the seed already there.
    """
    if os.environ.get("CI") and config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(secrets.randbits(SEED_BITS))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was measured by the way, and how to repeat a run that failed."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, text in report.user_properties:
            if name == MEASURED:
                terminalreporter.write_line(f"{report.nodeid}: {text}")
    seed = config.getoption("hypothesis_seed", None)
    if seed is not None and terminalreporter.stats.get("failed"):
        terminalreporter.write_line(f"to repeat: pytest --hypothesis-seed={seed}")
