"""What the kernel says of a container, in both versions of its files."""

from pathlib import Path

import pytest

from kubelet import container_cgroups

V1 = {
    "cpuacct/pod/c1/cpuacct.usage": "1500000000\n",
    "memory/pod/c1/memory.usage_in_bytes": "5000\n",
    "memory/pod/c1/memory.stat": "cache 9\ntotal_inactive_file 2000\n",
    "memory/pod/c1/memory.oom_control": (
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    ),
}
V2 = {
    "pod/c1/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
    "pod/c1/memory.current": "5000\n",
    "pod/c1/memory.stat": "anon 9\ninactive_file 2000\n",
    "pod/c1/memory.events": "low 0\noom 2\noom_kill 2\n",
}
PROC_V1 = "7:memory:/pod/c1\n3:cpu,cpuacct:/pod/c1\n0::/pod/c1\n"
PROC_V2 = "0::/pod/c1\n"


def tree(folder: Path, files: dict[str, str], groups: str) -> container_cgroups.Cgroup:
    """The control groups of process 42 in a tree of these files."""
    for name, text in {**files, "proc/42/cgroup": groups}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = container_cgroups.find(42, root=folder, proc=folder / "proc")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("files", "groups", "version"), [(V1, PROC_V1, 1), (V2, PROC_V2, 2)]
)
def test_use_and_kills(
    tmp_path: Path, files: dict[str, str], groups: str, version: int
) -> None:
    """CPU in seconds, memory without idle file pages, kills for memory."""
    cgroup = tree(tmp_path, files, groups)
    assert cgroup.version == version
    assert cgroup.usage() == (1.5, 3000)
    assert cgroup.oom_kills() == 2


@pytest.mark.parametrize(("files", "groups"), [(V1, PROC_V1), (V2, PROC_V2)])
def test_a_group_that_is_gone(
    tmp_path: Path, files: dict[str, str], groups: str
) -> None:
    """Nothing is known, rather than zero."""
    cgroup = tree(tmp_path, files, groups)
    for name in files:
        (tmp_path / name).unlink()
    assert cgroup.usage() is None
    assert cgroup.oom_kills() is None


def test_a_process_that_is_gone_or_nonsense(tmp_path: Path) -> None:
    """No group; files that cannot be read as numbers are as good as gone."""
    assert container_cgroups.find(42, root=tmp_path, proc=tmp_path) is None
    cgroup = tree(tmp_path, {**V2, "pod/c1/memory.current": "much\n"}, PROC_V2)
    assert cgroup.usage() is None


@pytest.mark.asyncio
async def test_what_happened_before_the_watch_is_told(tmp_path: Path) -> None:
    """A container may run out of memory before anybody looks."""
    watch = container_cgroups.OomWatch()
    told: list[str] = []
    watch.add("c1", tree(tmp_path, V1, PROC_V1), lambda: told.append("c1"))
    watch.close()
    assert told == ["c1"]
