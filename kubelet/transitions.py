"""The states of one container, and what moves it from one to another. Pure data.

What is not in a state's row does not move the container: an observation that comes too
late is dropped. `containers.py` says what follows from each move.
"""

from typing import Final, Literal

State = Literal[
    "Waiting",  # not its turn yet
    "Pulling",
    "PullFailed",  # ErrImagePull, then ImagePullBackOff
    "Fetching",  # the ConfigMaps and Secrets that it needs
    "Starting",
    "StartFailed",  # CreateContainerConfigError and the like
    "Running",
    "Stopping",  # told to end; what follows depends on the restart policy
    "Exited",  # judged at once: never seen from outside
    "CrashLoop",
    "Done",
]
Event = Literal[
    "begin", "pulled", "pull failed", "fetch", "fetched", "started", "start failed",
    "exited", "stop", "back off", "finish",
]  # fmt: skip

TABLE: Final[dict[State, dict[Event, State]]] = {
    "Waiting": {"begin": "Pulling", "stop": "Done"},
    "Pulling": {
        "pulled": "Starting",
        "fetch": "Fetching",
        "pull failed": "PullFailed",
        "stop": "Done",
    },
    "Fetching": {"fetched": "Starting", "start failed": "StartFailed", "stop": "Done"},
    "PullFailed": {"begin": "Pulling", "stop": "Done"},
    "Starting": {
        "started": "Running",
        "start failed": "StartFailed",
        "exited": "Exited",
        "stop": "Stopping",
    },
    "StartFailed": {"begin": "Pulling", "stop": "Done"},
    "Running": {"exited": "Exited", "stop": "Stopping"},
    "Stopping": {"exited": "Exited"},
    "Exited": {"begin": "Pulling", "back off": "CrashLoop", "finish": "Done"},
    "CrashLoop": {"begin": "Pulling", "stop": "Done"},
    "Done": {},
}
