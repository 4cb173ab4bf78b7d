"""Names, keys and subject tokens (spec 1.5, 2.4, 3.4; architecture, section 4)."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import names


def test_suffixes_use_the_27_characters_and_repeat_with_the_seed() -> None:
    """The alphabet of spec 1.5; the same seed gives the same names."""
    assert len(set(names.SUFFIX_ALPHABET)) == 27
    drawn = "".join(names.suffix(random.Random(seed)) for seed in range(200))
    assert set(drawn) == set(names.SUFFIX_ALPHABET)
    assert names.suffix(random.Random(7)) == names.suffix(random.Random(7))
    assert len(names.suffix(random.Random(7), length=9)) == 9


def test_a_generated_name_is_cut_to_58_characters_and_gets_five_more() -> None:
    """Spec 1.5: 63 characters at most."""
    short = names.generate_name("web-", random.Random(1))
    assert re.fullmatch(rf"web-[{names.SUFFIX_ALPHABET}]{{5}}", short)
    long = names.generate_name("x" * 80, random.Random(1))
    assert long[:58] == "x" * 58
    assert len(long) == 63


@pytest.mark.parametrize(
    ("length", "kept"), [(3, 3), (242, 242), (243, 243), (244, 243), (253, 243)]
)
def test_a_replicaset_name_fits_into_253_characters(length: int, kept: int) -> None:
    """Spec 2.4: the Deployment's name is cut, never the hash."""
    name = names.replicaset_name("d" * length, "456789bcd")
    assert name == "d" * kept + "-456789bcd"
    assert len(name) <= 253


KEYS = [
    (names.deployment_key("default", "web"), ("deployment", "default", "web")),
    (names.replicaset_key("a", "web-5d"), ("replicaset", "a", "web-5d")),
    (names.pod_key("a", "web.b-x"), ("pod", "a", "web.b-x")),
    (names.node_key("worker-1"), ("node", "", "worker-1")),
    (names.namespace_key("x"), ("namespace", "", "x")),
    (names.key("namespace", "moot", "x"), ("namespace", "", "x")),
    (names.key("configmap", "x", "c"), ("configmap", "x", "c")),
    (names.command_key("01J/x"), ("command", "", "01J/x")),
]


@pytest.mark.parametrize(("key", "parts"), KEYS)
def test_a_key_splits_into_its_parts(key: str, parts: tuple[str, str, str]) -> None:
    """Every key helper has its inverse."""
    assert names.split_key(key) == parts


@pytest.mark.parametrize(
    "key", ["", "pod", "pod/a", "pod//x", "/a/b", "node/", "pod/a/b/c", "pod/a/"]
)
def test_a_text_that_is_no_key_is_refused(key: str) -> None:
    """Rather than giving parts that are empty or shifted."""
    with pytest.raises(ValueError, match="is not a key"):
        names.split_key(key)


def test_a_subdomain_is_labels_with_dots_between() -> None:
    """Spec 1.5."""
    assert names.is_dns_subdomain("a.b-c.d")
    assert names.is_dns_subdomain("a" * 253)
    for bad in ("", "A.b", "a..b", ".a", "a.", "a" * 254):
        assert not names.is_dns_subdomain(bad), bad


TOKENS = [
    ("web", "web"),
    ("a.b", "a%2Eb"),
    ("a%b", "a%25b"),
    ("a b*>", "a%20b%2A%3E"),
    ("é", "%C3%A9"),
    ("", "%"),
    ("%", "%25"),
]


@pytest.mark.parametrize(("text", "token"), TOKENS)
def test_a_text_becomes_one_subject_token(text: str, token: str) -> None:
    """A `.` inside a name is written `%2E`; the empty text has a token too."""
    assert names.escape(text) == token
    assert names.unescape(token) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back_from_its_token(text: str) -> None:
    """And the token is one that NATS accepts: no dots, blanks or wildcards."""
    token = names.escape(text)
    assert re.fullmatch(r"[!-~]+", token)
    assert not set(token) & set(".*> ")
    assert names.unescape(token) == text


@given(st.text(min_size=1))
def test_two_tokens_never_mean_the_same_text(token: str) -> None:
    """What is accepted is exactly what `escape` makes."""
    try:
        text = names.unescape(token)
    except ValueError:
        return
    assert names.escape(text) == token


@pytest.mark.parametrize("token", ["", "a.b", "%2e", "%41", "a b", "%FF", "a%", "%2"])
def test_a_token_that_escape_never_makes_is_refused(token: str) -> None:
    """Otherwise permissions on subjects could be stepped around."""
    with pytest.raises(ValueError, match="is not an escaped subject token"):
        names.unescape(token)
