"""docs/progressive-rollouts.md: its manifest is applied, and does what it says."""

from pathlib import Path
from typing import Any

import yaml

from tests.support.cluster import SimCluster
from tests.workers.scenes import make, owner, set_image
from tests.workers.watched import cause_of, measure, rollbacks, sizes, steps_reached

PAGE = Path(__file__).parents[2] / "docs" / "progressive-rollouts.md"


def manifest() -> dict[str, Any]:
    """The manifest of the page."""
    text = PAGE.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_example_rolls_back_as_the_page_shows() -> None:
    """The first fraction, the pause, the analysis; and the very line of the history."""
    sim = SimCluster(3)
    make(sim, manifest())
    set_image(sim, "app:2")
    sim.run_for(10)
    assert sizes(sim) == (1, 9)
    sim.run_for(300)
    assert [text for _, text in steps_reached(sim)] == ["10%", "pause 5m", "analyse"]
    measure(sim, 0.31)
    measure(sim, 1.0, check="health")
    sim.run_for(30)
    measure(sim, 0.31)
    (back,) = rollbacks(sim)
    assert cause_of(back) in PAGE.read_text("utf-8")
    sim.settle()
    assert sizes(sim) == (10, 0)


def test_the_example_goes_on_when_its_checks_pass() -> None:
    """One number out of bounds is forgiven; then it waits for a person at half."""
    sim = SimCluster(3)
    make(sim, manifest())
    set_image(sim, "app:2")
    sim.run_for(310)
    for value in (0.01, 0.2, 0.02):
        measure(sim, value)
        measure(sim, 1.0, check="health")
        sim.run_for(30)
    assert sizes(sim) == (5, 5)
    answer = sim.ask("deployment", "web", "promote")
    assert answer.result == "accepted"
    sim.settle()
    assert (sizes(sim), owner(sim).run.done) == ((10, 0), True)
