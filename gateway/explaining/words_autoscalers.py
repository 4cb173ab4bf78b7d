"""The words for what an autoscaler decides and how it is (see words.py)."""

from domain import autoscaler, quantities, times
from domain.autoscaler import Condition, Figure
from domain.events import Event, Recorded
from gateway.explaining import phrases


def rescaled(
    recorded: Recorded, event: autoscaler.AutoscalerRescaled, _earlier: Event | None
) -> str:
    """`… scaled Deployment web from 4 to 7 pods because cpu was 143 % of 80 % on 4 pods
    at 12:03:11`: each metric that asked for as much, else the reason."""
    name, target = phrases.thing(recorded.stream), phrases.thing(event.target)
    return (
        f"{name} scaled {target} from {event.before} to "
        f"{phrases.counted(event.after, 'pod')} {because(event)}"
    )


def because(event: autoscaler.AutoscalerRescaled) -> str:
    """The figures that the decision rests on."""
    if not event.figures:
        return f"because of its bounds: {event.reason}"
    up = event.after > event.before
    most = max(each.replicas for each in event.figures)
    told = [figure(each) for each in event.figures if not up or each.replicas == most]
    return f"because {phrases.listed(told)}"


def figure(held: Figure) -> str:
    """`cpu was 143 % of 80 % on 4 pods at 12:03:11`."""
    value, target = _plainly(held.name, held.value), _plainly(held.name, held.target)
    said = f"{held.name} was {value} of {target}"
    if held.type in ("Resource", "ContainerResource", "Pods"):
        said += f" on {phrases.counted(held.pods, 'pod')}"
    if held.at:
        said += f" at {times.rfc3339_seconds(held.at)[11:19]}"
    return said


def changed(
    recorded: Recorded,
    event: autoscaler.AutoscalerConditionsChanged,
    earlier: Event | None,
) -> str:
    """The conditions that are others now; all of them where nothing is known."""
    before: tuple[Condition, ...] = ()
    if isinstance(earlier, autoscaler.AutoscalerConditionsChanged):
        before = earlier.conditions
    told = [
        f"{each.type} is {each.status} ({each.reason}{phrases.behind(each.message)})"
        for each in event.conditions
        if each not in before
    ]
    name = phrases.thing(recorded.stream)
    return f"{name}: {phrases.listed(told)}" if told else f"{name} is as it was"


def _plainly(name: str, text: str) -> str:
    """As people say it: `143 %`, `18.5` for `18500m` of a metric that is not the CPU's,
    and memory in the largest binary unit that leaves three digits before the point."""
    if text.endswith("%"):
        return f"{text[:-1]} %"
    try:
        exact = quantities.parse(text)
    except ValueError:
        return text
    if name == "memory":
        return _binary(float(exact))
    return text if name == "cpu" or exact == int(exact) else f"{float(exact):g}"


def _binary(size: float) -> str:
    for unit in ("", "Ki", "Mi"):
        if size < 1024:
            return f"{size:.3g}{unit}"
        size /= 1024
    return f"{size:.4g}Gi"
