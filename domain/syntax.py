"""The syntax of names, labels and ports, and what Kubernetes says about bad ones.

1. Every function returns sentences, none when the text is good (spec 1.5 to 1.7).
2. The two blanks before `or` in the examples are Kubernetes' own.
"""

import re
from typing import Final

from domain.names import (
    DNS_LABEL_PATTERN,
    DNS_SUBDOMAIN_PATTERN,
    LABEL_LENGTH_MAX,
    SUBDOMAIN_LENGTH_MAX,
)

_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE: Final = f"({_QUALIFIED})?"
_HEADER: Final = "[-A-Za-z0-9]+"

_DNS_LABEL_RULE: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
    "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
    f"'123-abc', regex used for validation is '{DNS_LABEL_PATTERN}')"
)
_DNS_SUBDOMAIN_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
    "characters, '-' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'example.com', regex used for validation is '{DNS_SUBDOMAIN_PATTERN}')"
)
_QUALIFIED_RULE: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
    f"regex used for validation is '{_QUALIFIED}')"
)
_LABEL_VALUE_RULE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', "
    "'_' or '.', and must start and end with an alphanumeric character (e.g. "
    "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_LABEL_VALUE}')"
)
_HEADER_RULE: Final = (
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
    f"'X-Header-Name', regex used for validation is '{_HEADER}')"
)
_ENV_RULE: Final = (
    "a valid environment variable name must consist only of printable ASCII "
    "characters other than '='"
)
PERCENT_RULE: Final = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
    "'1%',  or '93%', regex used for validation is '[0-9]+%')"
)
PORT_RULE: Final = "must be between 1 and 65535, inclusive"
PORT_NAME_LENGTH_MAX: Final = 15
_PERCENT: Final = re.compile("[0-9]{1,9}%")


def dns_label(text: str) -> list[str]:
    """What is wrong with `text` as a DNS label of at most 63 characters."""
    said = []
    if len(text) > LABEL_LENGTH_MAX:
        said.append(f"must be no more than {LABEL_LENGTH_MAX} characters")
    if not re.fullmatch(DNS_LABEL_PATTERN, text):
        dotted = re.fullmatch(DNS_SUBDOMAIN_PATTERN, text)
        said.append("must not contain dots" if dotted else _DNS_LABEL_RULE)
    return said


def dns_subdomain(text: str) -> list[str]:
    """What is wrong with `text` as a DNS subdomain of at most 253 characters."""
    said = []
    if len(text) > SUBDOMAIN_LENGTH_MAX:
        said.append(f"must be no more than {SUBDOMAIN_LENGTH_MAX} characters")
    if not re.fullmatch(DNS_SUBDOMAIN_PATTERN, text):
        said.append(_DNS_SUBDOMAIN_RULE)
    return said


def name_prefix(text: str) -> list[str]:
    """What is wrong with `text` as a generateName, where one last hyphen is fine."""
    return dns_subdomain(f"{text[:-1]}a" if text.endswith("-") else text)


def qualified_name(text: str) -> list[str]:
    """What is wrong with `text` as the key of a label: `[prefix/]name` (spec 1.6)."""
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        return [
            f"a qualified name {_QUALIFIED_RULE} with an optional DNS subdomain prefix "
            "and '/' (e.g. 'example.com/MyName')"
        ]
    said = []
    if slash and not prefix:
        said.append("prefix part must be non-empty")
    elif slash:
        said += [f"prefix part {sentence}" for sentence in dns_subdomain(prefix)]
    if not name:
        said.append("name part must be non-empty")
    elif len(name.encode()) > LABEL_LENGTH_MAX:
        said.append(f"name part must be no more than {LABEL_LENGTH_MAX} bytes")
    if not re.fullmatch(_QUALIFIED, name):
        said.append(f"name part {_QUALIFIED_RULE}")
    return said


def label_value(text: str) -> list[str]:
    """What is wrong with `text` as the value of a label (spec 1.6)."""
    said = []
    if len(text.encode()) > LABEL_LENGTH_MAX:
        said.append(f"must be no more than {LABEL_LENGTH_MAX} bytes")
    if not re.fullmatch(_LABEL_VALUE, text):
        said.append(_LABEL_VALUE_RULE)
    return said


def port_name(text: str) -> list[str]:
    """What is wrong with `text` as the name of a port (spec 1.7)."""
    said = []
    if len(text) > PORT_NAME_LENGTH_MAX:
        said.append(f"must be no more than {PORT_NAME_LENGTH_MAX} characters")
    if not re.fullmatch("[-a-z0-9]+", text):
        said.append(
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        )
    if not re.search("[a-z]", text):
        said.append("must contain at least one letter (a-z)")
    if "--" in text:
        said.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        said.append("must not begin or end with a hyphen")
    return said


def port_number(number: int) -> list[str]:
    """What is wrong with `number` as a port."""
    return [] if 1 <= number <= 65535 else [PORT_RULE]


def environment_name(text: str) -> list[str]:
    """What is wrong with `text` as the name of a variable (spec 0)."""
    return [] if re.fullmatch("[ -<>-~]+", text) else [_ENV_RULE]


def header_name(text: str) -> list[str]:
    """What is wrong with `text` as the name of an HTTP header."""
    return [] if re.fullmatch(_HEADER, text) else [_HEADER_RULE]


def is_percentage(text: str) -> bool:
    """Whether `text` is a percent sign behind digits, nine at most (32 bits)."""
    return _PERCENT.fullmatch(text) is not None
