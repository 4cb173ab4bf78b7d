"""What the process runtime knows of containers that it did not see all the time."""

import contextlib
import os
from pathlib import Path

from kubelet import runtime, sandboxes, shims


def container_id(run: sandboxes.Run) -> str:
    """The run's id: that of its first process."""
    assert run.identity is not None, "it has no id before it was started"
    return f"process://{run.identity.pid}"


def restored(pod: sandboxes.Pod) -> list[sandboxes.Run]:
    """The newest run of each container that a former life of the kubelet started."""
    found = []
    spec = pod.sandbox.spec
    for each in (*spec.init_containers, *spec.containers):
        run = sandboxes.Run(each.name, pod.folder)
        if run.restore():
            assert run.identity is not None, "it was restored"
            run.env = _environment(run.identity)
            run.cwd = Path(each.working_dir) if each.working_dir else run.root
            found.append(run)
    return found


def runs(run: sandboxes.Run) -> bool:
    """Whether its end is still to come; its shim may be there a moment longer."""
    identity = run.identity
    ended = run.files(run.attempt).exit.exists()
    return identity is not None and not ended and shims.runs(identity)


def container(pod: sandboxes.Pod, run: sandboxes.Run) -> runtime.HeldContainer:
    """What `held` says of it; what has ended has its exit."""
    assert run.identity is not None, "it was recorded"
    begun = run.identity.started_at
    if run.process is not None:
        return runtime.HeldContainer(
            name=run.name,
            attempt=run.attempt,
            container_id=container_id(run),
            started_at=begun,
        )
    found = shims.read_exit(run.identity, run.files(run.attempt).exit)
    fact = exited(pod, run, run.attempt, found)
    return runtime.HeldContainer(
        name=run.name,
        attempt=run.attempt,
        container_id=container_id(run),
        started_at=begun,
        running=False,
        finished_at=found.finished_at,
        exit_code=fact.exit_code,
        signal=fact.signal,
        reason=fact.reason,
        message=fact.message,
    )


def exited(
    pod: sandboxes.Pod, run: sandboxes.Run, attempt: int, found: shims.Exit
) -> runtime.ContainerExited:
    """The observation of a run's end, with what it said last."""
    reason, message = "", ""
    if found is shims.UNKNOWN:
        reason = "ContainerStatusUnknown"
        message = "What held the container was killed, and nobody saw its end"
    else:
        with contextlib.suppress(LookupError):  # it may be in no specification now
            spec = pod.spec(run.name)
            message = run.last_words(spec, attempt, failed=bool(found.exit_code))
    return runtime.ContainerExited(
        uid=pod.uid,
        container=run.name,
        attempt=attempt,
        exit_code=found.exit_code,
        signal=found.signal,
        reason=reason,
        message=message,
    )


def _environment(identity: shims.Identity) -> dict[str, str]:
    """The variables that it was started with; none if it has ended."""
    try:
        data = Path(f"/proc/{identity.pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (each.partition(b"=") for each in data.split(b"\0") if b"=" in each)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
