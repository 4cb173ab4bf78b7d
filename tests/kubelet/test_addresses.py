"""Several nodes on one machine never share an address."""

from pathlib import Path

import pytest

from domain import errors
from kubelet import addresses


def test_nodes_have_numbers_of_their_own(tmp_path: Path) -> None:
    """Also those with the same name, in two clusters."""
    nodes = [addresses.Addresses("worker-1", tmp_path) for _ in range(5)]
    assert len({node.number for node in nodes}) == 5
    assert len({node.allocate() for node in nodes}) == 5
    for node in nodes:
        node.close()


def test_a_node_has_the_same_number_again(tmp_path: Path) -> None:
    """Its pods are found at the same addresses after a restart."""
    first = addresses.Addresses("worker-1", tmp_path)
    number = first.number
    first.close()
    second = addresses.Addresses("worker-1", tmp_path)
    assert second.number == number
    second.close()


def test_pods_have_addresses_of_their_own(tmp_path: Path) -> None:
    """All valid, all different, none of them a network's first or last."""
    node = addresses.Addresses("worker-1", tmp_path)
    found = [node.allocate() for _ in range(600)]
    assert len(set(found)) == 600
    assert all(ip.startswith(f"127.{node.number}.") for ip in found)
    assert {ip.rsplit(".", 1)[1] for ip in found}.isdisjoint({"0", "255"})
    wanted = found[7]
    assert node.allocate(wanted) != wanted
    node.release(wanted)
    assert node.allocate(wanted) == wanted
    node.close()


def test_a_full_machine_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what to do."""
    monkeypatch.setattr(addresses, "LAST", addresses.FIRST)
    node = addresses.Addresses("a", tmp_path)
    with pytest.raises(errors.Permanent, match="stop one of them"):
        addresses.Addresses("b", tmp_path)
    node.close()
