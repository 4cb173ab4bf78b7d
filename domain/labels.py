"""Label selectors: match, print and parse (spec 1.4, 3.3).

1. All requirements of a selector must hold.
2. `NotIn` and `DoesNotExist` also match an object without the key, as in Kubernetes.
3. An empty selector matches everything; an absent one (`None`) matches nothing.
4. An unknown operator matches nothing: validation refuses it before it can be stored.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from domain.errors import Rejected
from domain.metadata import Value


class LabelSelectorRequirement(Value, frozen=True, kw_only=True):
    """One sentence about one key; the operator is one of `OPERATORS`."""

    key: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()


class LabelSelector(Value, frozen=True, kw_only=True):
    """What labels an object must have to be selected."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


def matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether an object with `labels` is selected."""
    if selector is None:
        return False
    for key, value in selector.match_labels.items():
        if labels.get(key) != value:
            return False
    return all(_holds(each, labels) for each in selector.match_expressions)


def is_empty(selector: LabelSelector | None) -> bool:
    """Whether the selector says nothing at all, so that it would match everything."""
    return selector is not None and not (
        selector.match_labels or selector.match_expressions
    )


def format_selector(selector: LabelSelector | None) -> str:
    """The text that kubectl prints, sorted by key: `app=web,tier in (a,b),!old`.

    An absent or empty selector gives the empty text.
    """
    if selector is None:
        return ""
    parts = [(key, f"{key}={value}") for key, value in selector.match_labels.items()]
    parts += [(each.key, _format(each)) for each in selector.match_expressions]
    return ",".join(text for _, text in sorted(parts))


def parse_selector(text: str) -> LabelSelector:
    """The selector that `-l text` means; empty text selects everything.

    `a=b` and `a==b` become match labels; `!=`, `in`, `notin`, `key`, `!key`, and `>`
    and `<` with a whole number become expressions. Two different values for one key
    with `=` stay two sentences, which nothing can satisfy. Raises
    `Rejected("BadRequest")` that quotes what was not understood.
    """
    labels: dict[str, str] = {}
    expressions: list[LabelSelectorRequirement] = []
    position = 0
    while text[position:].strip():
        found = _REQUIREMENT.match(text, position)
        if found is None or found.end() == position:
            raise _not_understood(text, text[position:])
        requirement = _requirement(text, found)
        if requirement.operator == "=" and requirement.key not in labels:
            labels[requirement.key] = requirement.values[0]
        elif requirement.operator == "=":
            expressions.append(_as_in(requirement))
        else:
            expressions.append(requirement)
        position = found.end()
        if found["comma"] and not text[position:].strip():
            raise _not_understood(text, ",")
    return LabelSelector(match_labels=labels, match_expressions=tuple(expressions))


_KEY: Final = (
    r"(?:[A-Za-z0-9][-A-Za-z0-9.]*/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_REQUIREMENT: Final = re.compile(
    rf"""\s*(?:
        !\s*(?P<absent>{_KEY})
      | (?P<key>{_KEY})
        (?: \s*(?P<op>==|=|!=|>|<)\s*(?P<value>{_VALUE})
          | \s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
        )?
    )\s*(?P<comma>,|$)""",
    re.VERBOSE,
)
_WHOLE_VALUE: Final = re.compile(_VALUE)
_BOUNDS: Final = {">": "Gt", "<": "Lt"}
"""Only questions compare numbers: no selector that is kept has these operators."""


def _holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    match requirement.operator:
        case "In":
            return labels.get(requirement.key) in requirement.values
        case "NotIn":
            return labels.get(requirement.key) not in requirement.values
        case "Exists":
            return requirement.key in labels
        case "DoesNotExist":
            return requirement.key not in labels
        case "Gt" | "Lt" as operator:
            value, bound = labels.get(requirement.key, ""), requirement.values[0]
            if not (value.isdecimal() and bound.isdecimal()):
                return False
            above = int(value) - int(bound)
            return above > 0 if operator == "Gt" else above < 0
        case _:
            return False


def _format(requirement: LabelSelectorRequirement) -> str:
    values = ",".join(sorted(requirement.values))
    match requirement.operator:
        case "In":
            return f"{requirement.key} in ({values})"
        case "NotIn":
            return f"{requirement.key} notin ({values})"
        case "DoesNotExist":
            return f"!{requirement.key}"
        case "Gt":
            return f"{requirement.key}>{values}"
        case "Lt":
            return f"{requirement.key}<{values}"
        case _:
            return requirement.key


def _requirement(text: str, found: re.Match[str]) -> LabelSelectorRequirement:
    """The one sentence of `found`; a plain equality carries the operator `=`."""
    if found["absent"]:
        return LabelSelectorRequirement(key=found["absent"], operator="DoesNotExist")
    key = found["key"]
    if found["op"] == "!=":
        values: tuple[str, ...] = (found["value"],)
        return LabelSelectorRequirement(key=key, operator="NotIn", values=values)
    if found["op"] in _BOUNDS:
        if not found["value"].isdecimal():
            raise _not_understood(text, found[0].strip())
        bound = (found["value"],)
        return LabelSelectorRequirement(
            key=key, operator=_BOUNDS[found["op"]], values=bound
        )
    if found["op"]:
        values = (found["value"],)
        return LabelSelectorRequirement(key=key, operator="=", values=values)
    if found["set"]:
        values = tuple(part.strip() for part in found["values"].split(","))
        for value in values:
            if _WHOLE_VALUE.fullmatch(value) is None:
                raise _not_understood(text, value)
        operator = "In" if found["set"] == "in" else "NotIn"
        return LabelSelectorRequirement(key=key, operator=operator, values=values)
    return LabelSelectorRequirement(key=key, operator="Exists")


def _as_in(requirement: LabelSelectorRequirement) -> LabelSelectorRequirement:
    return LabelSelectorRequirement(
        key=requirement.key, operator="In", values=requirement.values
    )


def _not_understood(text: str, part: str) -> Rejected:
    return Rejected(
        "BadRequest",
        f'unable to parse selector "{text}": "{part.strip()}" is not a requirement; '
        "write for example app=web, tier!=db, env in (a,b), env notin (a), key or !key",
    )
