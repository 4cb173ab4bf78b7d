"""Kubernetes' rules for the affinity of a pod (core/v1)."""

from collections.abc import Sequence
from typing import Final

from domain import fields, syntax
from domain.errors import FieldError
from domain.labels import LabelSelectorRequirement
from domain.podspec import (
    Affinity,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
)

_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def affinity_errors(affinity: Affinity, path: str) -> list[FieldError]:
    """Every rule that the three kinds of affinity break."""
    errors: list[FieldError] = []
    if affinity.node_affinity is not None:
        errors += _node_errors(affinity.node_affinity, f"{path}.nodeAffinity")
    if affinity.pod_affinity is not None:
        errors += _pods_errors(affinity.pod_affinity, f"{path}.podAffinity")
    if affinity.pod_anti_affinity is not None:
        errors += _pods_errors(affinity.pod_anti_affinity, f"{path}.podAntiAffinity")
    return errors


def requirement_errors(
    requirement: NodeSelectorRequirement | LabelSelectorRequirement,
    path: str,
    *,
    numeric: bool = False,
) -> list[FieldError]:
    """The rules for operator and key, of nodes (`numeric`: Gt, Lt) and of labels."""
    errors: list[FieldError] = []
    match requirement.operator:
        case "In" | "NotIn":
            if not requirement.values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                errors.append(fields.required(f"{path}.values", detail))
        case "Exists" | "DoesNotExist":
            if requirement.values:
                detail = "may not be specified when `operator` is 'Exists' or "
                detail += "'DoesNotExist'"
                errors.append(fields.forbidden(f"{path}.values", detail))
        case "Gt" | "Lt" if numeric:
            if len(requirement.values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' "
                detail += "or 'Gt'"
                errors.append(fields.required(f"{path}.values", detail))
        case operator:
            detail = "not a valid selector operator"
            errors.append(fields.invalid(f"{path}.operator", operator, detail))
    said = syntax.qualified_name(requirement.key)
    return errors + fields.each_invalid(f"{path}.key", requirement.key, said)


def _node_errors(affinity: NodeAffinity, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    needed = affinity.required_during_scheduling_ignored_during_execution
    if needed is not None:
        where = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        if not needed.node_selector_terms:
            detail = "must have at least one node selector term"
            errors.append(fields.required(where, detail))
        for index, term in enumerate(needed.node_selector_terms):
            errors += _term_errors(term, f"{where}[{index}]")
    wishes = affinity.preferred_during_scheduling_ignored_during_execution
    for index, wish in enumerate(wishes):
        where = f"{path}.{_PREFERRED}[{index}]"
        errors += _weight_errors(wish.weight, f"{where}.weight")
        errors += _term_errors(wish.preference, f"{where}.preference")
    return errors


def _term_errors(term: NodeSelectorTerm, path: str) -> list[FieldError]:
    where = f"{path}.matchExpressions"
    errors = _requirements_errors(term.match_expressions, where)
    return errors + _requirements_errors(term.match_fields, f"{path}.matchFields")


def _requirements_errors(
    requirements: Sequence[NodeSelectorRequirement], path: str
) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, each in enumerate(requirements):
        errors += requirement_errors(each, f"{path}[{index}]", numeric=True)
    return errors


def _pods_errors(
    affinity: PodAffinity | PodAntiAffinity, path: str
) -> list[FieldError]:
    errors: list[FieldError] = []
    needed = affinity.required_during_scheduling_ignored_during_execution
    for index, term in enumerate(needed):
        errors += _pod_term_errors(term, f"{path}.{_REQUIRED}[{index}]")
    wishes = affinity.preferred_during_scheduling_ignored_during_execution
    for index, wish in enumerate(wishes):
        where = f"{path}.{_PREFERRED}[{index}]"
        errors += _weight_errors(wish.weight, f"{where}.weight")
        errors += _pod_term_errors(wish.pod_affinity_term, f"{where}.podAffinityTerm")
    return errors


def _pod_term_errors(term: PodAffinityTerm, path: str) -> list[FieldError]:
    where = f"{path}.topologyKey"
    if not term.topology_key:
        return [fields.required(where, "can not be empty")]
    said = syntax.qualified_name(term.topology_key)
    return fields.each_invalid(where, term.topology_key, said)


def _weight_errors(weight: int, path: str) -> list[FieldError]:
    if 1 <= weight <= 100:
        return []
    return [fields.invalid(path, weight, "must be in the range 1-100")]
