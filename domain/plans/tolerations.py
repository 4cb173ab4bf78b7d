"""The tolerations that every pod has, whatever its manifest says (spec 4.7)."""

from collections.abc import Sequence

from domain import objects
from domain.plans.placement import NO_EXECUTE
from domain.podspec import Toleration


def with_default_tolerations(
    tolerations: Sequence[Toleration],
    seconds: int = objects.DEFAULT_TOLERATION_SECONDS,
) -> tuple[Toleration, ...]:
    """The tolerations that admission makes of these (spec 4.7)."""
    added = (
        Toleration(
            key=key, operator="Exists", effect=NO_EXECUTE, toleration_seconds=seconds
        )
        for key in objects.DEFAULT_TOLERATED
        if not any(
            each.key in ("", key) and each.effect in ("", NO_EXECUTE)
            for each in tolerations
        )
    )
    return (*tolerations, *added)
