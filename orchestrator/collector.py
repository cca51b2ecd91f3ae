"""Collecting what ``collection`` says: looks at files and images now and then, and removes what is too much."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from cri import image_collection
from cri.errors import CRIError
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from manifests.cri_messages import image_spec
from orchestrator.collection import Limits, stale_logs
from orchestrator.measure import Measure
from orchestrator.pods import log_directory, task_folders
from orchestrator.store import Store
from orchestrator.task import Task

_log = logging.getLogger(__name__)


class Collector:
    """For one store and one runtime. It also pulls, because it has to know what was there before."""

    def __init__(
        self,
        store: Store,
        runtime: Runtime,
        state_dir: Path,
        limits: Limits,
        *,
        measure: Measure,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._state_dir = state_dir
        self._limits = limits
        self._measure = measure
        self._clock = clock

    async def run(self) -> None:
        """Collect now and then until cancelled."""
        while True:
            for collect in (self.collect_files, self.collect_images):
                try:
                    await collect()
                except (CRIError, OSError) as error:
                    _log.warning(
                        "not all can be collected (%s); trying again in %g s", error, self._limits.collect_every
                    )
                except Exception:  # noqa: BLE001 - logged; without this loop the disk would fill up
                    _log.exception("collecting failed; trying again in %g s", self._limits.collect_every)
            await asyncio.sleep(self._limits.collect_every)

    # --- files ----------------------------------------------------------------------------------------------

    async def collect_files(self) -> None:
        """Remove the logs of attempts that lie too far back, and all that is left of tasks that are forgotten."""
        folders = await asyncio.to_thread(task_folders, self._state_dir)
        tasks = await self._store.list()  # after the folders: one is made only once its task is in the Db
        uids = {task.uid for task in tasks}
        for folder in folders:
            if folder.name not in uids:
                with suppress(FileNotFoundError):  # whoever forgets a task removes them, too
                    await asyncio.to_thread(shutil.rmtree, folder)
        removed = await asyncio.to_thread(self._drop_logs, [task for task in tasks if task.attempt])
        self._measure.collected("log", removed)

    def _drop_logs(self, tasks: Iterable[Task]) -> int:
        removed = 0
        for task in tasks:
            folder = log_directory(self._state_dir, task.uid)
            try:
                with os.scandir(folder) as entries:
                    files = {entry.name: entry.stat(follow_symlinks=False).st_mtime for entry in entries}
                for name in stale_logs(task, files, self._limits, self._clock()):
                    (folder / name).unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # forgotten meanwhile, or it never wrote
        return removed

    # --- images ---------------------------------------------------------------------------------------------

    async def pull(self, request: v1.PullImageRequest) -> None:
        """Pull, and remember the image if it was not there before. Raises what the runtime raises."""
        if (new := await image_collection.pull(self._runtime, request)) is not None:
            # Died before this is written, and the image is nobody's: it stays.
            await self._store.keep_images([new])

    async def collect_images(self) -> None:
        """Remove images that were pulled here, that no task and no kept revision names, and that are too old or too
        much."""
        pulled = await self._store.pulled_images()
        if not pulled:
            return
        specs = [task.spec for task in await self._store.list()]
        specs += [one.spec for declared in await self._store.declarations() for one in declared.revisions]
        named = {(container.image, spec.platform) for spec in specs for container in spec.everyone}
        now = self._clock()
        kept = await image_collection.looked_at(self._runtime, pulled, [image_spec(*each) for each in named], now)
        changed, there = [one for one in kept if one not in pulled], {one.id for one in kept}
        if changed or len(kept) < len(pulled):
            await self._store.keep_images(changed, dropped=[one.id for one in pulled if one.id not in there])
        for image in await image_collection.stale(self._runtime, kept, self._limits, now):
            await self._runtime.remove_image(v1.RemoveImageRequest(image=v1.ImageSpec(image=image)))
            await self._store.keep_images([], dropped=[image])
            _log.info("removed image %s, which no task needs", image)
            self._measure.collected("image", 1)
