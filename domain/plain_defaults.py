"""What is filled into a manifest of a plain kind, as Kubernetes' API server does it.

Doing it twice changes nothing. It comes before validation, so that what is kept has
been judged.
"""

import base64
import binascii
from typing import Final

from msgspec.structs import replace

from domain import plain, times
from domain import plain_manifests as m
from domain.errors import Rejected

OPAQUE: Final = "Opaque"
DEFAULT_CPU_PERCENT: Final = 80
_PODS_UP: Final = 4
_PERIOD: Final = 15


def default(manifest: m.PlainManifest) -> m.PlainManifest:
    """The manifest with the defaults of its kind.

    Raises `Rejected` (BadRequest) for a value that is not what it must be to be read:
    base64 or a time.
    """
    match manifest:
        case m.ConfigMapManifest():
            _check_base64("ConfigMap", "binaryData", manifest.binary_data)
            return manifest
        case m.SecretManifest():
            return _secret(manifest)
        case m.NamespaceManifest():
            return _namespace(manifest)
        case m.LeaseManifest():
            _check_times(manifest.spec)
            return manifest
        case m.HorizontalPodAutoscalerManifest():
            return _autoscaler(manifest)
        case _:
            return manifest


def _secret(manifest: m.SecretManifest) -> m.SecretManifest:
    """`stringData` is folded into `data`, over what is there, and is no more."""
    _check_base64("Secret", "data", manifest.data)
    folded = {
        key: base64.b64encode(value.encode()).decode()
        for key, value in manifest.string_data.items()
    }
    return replace(
        manifest,
        type=manifest.type or OPAQUE,
        data={**manifest.data, **folded},
        string_data={},
    )


def _namespace(manifest: m.NamespaceManifest) -> m.NamespaceManifest:
    meta = manifest.metadata
    labels = {**meta.labels, plain.NAME_LABEL: meta.name} if meta.name else meta.labels
    return replace(
        manifest,
        metadata=replace(meta, labels=labels),
        spec=m.NamespaceSpec(finalizers=(plain.FINALIZER,)),
    )


def _autoscaler(
    manifest: m.HorizontalPodAutoscalerManifest,
) -> m.HorizontalPodAutoscalerManifest:
    spec = manifest.spec
    behavior = spec.behavior
    if behavior is not None:
        behavior = m.ScalingBehavior(
            scale_up=_rules(behavior.scale_up, up=True),
            scale_down=_rules(behavior.scale_down, up=False),
        )
    return replace(
        manifest,
        spec=replace(
            spec,
            min_replicas=1 if spec.min_replicas is None else spec.min_replicas,
            metrics=spec.metrics or (_cpu_metric(),),
            behavior=behavior,
        ),
    )


def _cpu_metric() -> m.MetricSpec:
    target = m.MetricTarget(type="Utilization", average_utilization=DEFAULT_CPU_PERCENT)
    return m.MetricSpec(
        type="Resource", resource=m.ResourceMetric(name="cpu", target=target)
    )


def _rules(rules: m.ScalingRules | None, *, up: bool) -> m.ScalingRules:
    """The rules of one direction, each absent part filled in (spec 5.5)."""
    given = rules or m.ScalingRules()
    percent = m.ScalingPolicy(type="Percent", value=100, period_seconds=_PERIOD)
    pods = m.ScalingPolicy(type="Pods", value=_PODS_UP, period_seconds=_PERIOD)
    window = given.stabilization_window_seconds
    return replace(
        given,
        stabilization_window_seconds=0 if up and window is None else window,
        select_policy=given.select_policy or "Max",
        policies=((pods, percent) if up else (percent,))
        if given.policies is None
        else given.policies,
    )


def _check_base64(kind: str, field: str, values: dict[str, str]) -> None:
    for key, value in values.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Rejected(
                "BadRequest",
                f'{kind} in version "v1" cannot be handled as a {kind}: '
                f"{field}[{key}]: illegal base64 data: {error}",
            ) from error


def _check_times(spec: m.LeaseSpec) -> None:
    for field, value in (
        ("acquireTime", spec.acquire_time),
        ("renewTime", spec.renew_time),
    ):
        if value is None:
            continue
        try:
            times.parse(value)
        except ValueError as error:
            raise Rejected(
                "BadRequest",
                'Lease in version "v1" cannot be handled as a Lease: '
                f'spec.{field}: "{value}" is not a time of RFC 3339, for example '
                "2026-11-23T06:18:47.000000Z",
            ) from error
