"""Messages of the broker as inputs of the step (workers/control.py subscribes)."""

from collections.abc import Callable
from typing import Final

from adapters import nats_wire
from domain.errors import Rejected
from workers.analysing import MeasurementInput
from workers.checking import CheckInput
from workers.mailbox import Mailbox
from workers.metric_intake import MetricInput

MEASUREMENTS: Final = "rollbook.measurement.*.*"
CHECKS: Final = "rollbook.check.*.*"
METRICS: Final = "rollbook.metric.*.*.*"
Count = Callable[[str], None]


async def measurements(
    client: nats_wire.Client, mailbox: Mailbox, count: Count
) -> None:
    """Subscribes to the measurements of analyses; those on a subject that is not one of
    theirs are counted."""

    async def heard(message: nats_wire.Msg) -> None:
        try:
            found = nats_wire.parse_measurement_subject(message.subject)
        except Rejected:
            count("measurements_refused")
            return
        namespace, deployment = found
        item = MeasurementInput(
            namespace=namespace, deployment=deployment, data=message.data
        )
        mailbox.put_metric(item)

    await client.subscribe(MEASUREMENTS, cb=heard)


async def checks(client: nats_wire.Client, mailbox: Mailbox, count: Count) -> None:
    """Subscribes to what active checks say of pods, in the same way."""

    async def heard(message: nats_wire.Msg) -> None:
        try:
            namespace, name = nats_wire.parse_check_subject(message.subject)
        except Rejected:
            count("checks_refused")
            return
        item = CheckInput(namespace=namespace, pod=name, data=message.data)
        mailbox.put_metric(item)

    await client.subscribe(CHECKS, cb=heard)


async def metrics(client: nats_wire.Client, mailbox: Mailbox, count: Count) -> None:
    """Subscribes to the values of custom metrics, in the same way."""

    async def heard(message: nats_wire.Msg) -> None:
        try:
            user, namespace, name = nats_wire.parse_metric_subject(message.subject)
        except Rejected:
            count("metrics_refused")
            return
        item = MetricInput(
            user=user, namespace=namespace, metric=name, data=message.data
        )
        mailbox.put_metric(item)

    await client.subscribe(METRICS, cb=heard)
