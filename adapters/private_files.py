"""Files that nobody else may read: created with mode 0600, replaced in one step."""

import os
import secrets
from pathlib import Path


def make_folder(folder: Path) -> None:
    """Afterwards `folder` exists with mode 0700, whatever it had before."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def write(path: Path, content: bytes) -> None:
    """Afterwards `path` holds `content` with mode 0600.

    A reader sees the old content or the new, never a part, also after a crash; and
    the content was never readable for others, not even for a moment.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # a umask may have taken bits away
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
