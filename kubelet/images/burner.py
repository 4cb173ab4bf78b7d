"""A program for the image catalogue that uses as much of the CPU as a file says.

`burner.py --millicores 50 [--file PATH]`: the file, if it is there, holds a number of
thousandths of a core and wins over the option; it is read again every tenth of a
second, so that a load can rise and fall while the pod runs. TERM ends it with status 0.
"""

import signal
import sys
import time

SLICE_SECONDS = 0.1
MOST = 1_000.0


def main() -> None:
    """Burn until TERM."""
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    default = float(options.get("--millicores", "50"))
    path = options.get("--file", "")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        begin = time.monotonic()
        wanted = min(_load(path, default), MOST) / 1_000 * SLICE_SECONDS
        burnt_to = time.process_time() + wanted
        while time.process_time() < burnt_to:
            pass
        time.sleep(max(0.0, begin + SLICE_SECONDS - time.monotonic()))


def _load(path: str, default: float) -> float:
    try:
        with open(path, encoding="ascii") as file:  # few imports
            return max(0.0, float(file.read()))
    except (OSError, ValueError):
        return default


if __name__ == "__main__":
    main()
