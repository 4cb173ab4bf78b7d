"""The readers' side over a log whose beginning is in an archive that went away."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from adapters import archive, eventstore
from adapters.archive_segment import Damaged
from domain import queries
from gateway.past import Past
from tests.adapters import taking


@pytest.mark.asyncio
async def test_the_past_outlives_its_archive(tmp_path: Path) -> None:
    """Reading on in the background goes on; who asks is told which positions it is.

    Once the archive is back, the past is known again.
    """
    url = taking.filled(tmp_path)
    folder = tmp_path / "archive"
    taking.take_out(url, folder, 42)
    away = folder.rename(tmp_path / "away")
    with contextlib.closing(eventstore.open_log(url, read_only=True)) as log:
        past = Past(log)
        following = asyncio.create_task(past.follow(seconds=0.01))
        await asyncio.sleep(0.1)
        assert not following.done()
        with pytest.raises(Damaged, match="1–42"):
            await past.whole(30)

        away.rename(folder)
        assert (await past.whole(30)).cluster.position == 30
        at = await past.locate(queries.Moment(position=45), 0.0)
        assert at.position == 45
        assert list(archive.problems(archive.Archive(folder))) == []

        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        past.close()
