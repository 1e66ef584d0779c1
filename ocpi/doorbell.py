"""Wake the push workers after a commit, and never make an upload wait or fail for it.

A thread of this process rings, so that a request costs nothing and a frozen Redis holds nobody up; losing a ring delays a
change until the sweep (5 s) or the relay, never loses it. One ring is enough for all changes before the next drain: the
drain answers the bell before it looks for work.
"""

import logging
import os
import threading
import time
from functools import cache
from typing import NamedTuple

import redis
from celery import current_app
from django.conf import settings

logger = logging.getLogger(__name__)


class Bell(NamedTuple):
    """One door: what wakes its workers."""

    key: str
    task: str
    queue: str


PUSH = Bell("gateway:doorbell", "ocpi.tasks.drain", "push")
IMPORTS = Bell("gateway:doorbell:imports", "ocpi.tasks.run_imports", "imports")
REST_S = 10.0  # after a failure, before Redis is tried again
ANSWERED_WITHIN_S = 5  # a ring nobody answered is forgotten after this


@cache
def _redis(pid: int) -> redis.Redis:
    """One client per process (not shared over a fork)."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


class _Ringer(threading.Thread):
    """Rings once for however many changes came meanwhile."""

    def __init__(self, bell: Bell) -> None:
        super().__init__(name="doorbell", daemon=True)
        self.bell = bell
        self.wanted = threading.Event()

    def run(self) -> None:
        while True:
            self.wanted.wait()
            self.wanted.clear()
            try:
                if _redis(os.getpid()).set(self.bell.key, 1, nx=True, ex=ANSWERED_WITHIN_S):
                    current_app.send_task(self.bell.task, queue=self.bell.queue, expires=30)
            except Exception as error:  # whatever Redis does, the sweep and the relay deliver
                logger.warning("Doorbell not heard, the sweep will find the change: %s", type(error).__name__)
                time.sleep(REST_S)


_ringers: dict[tuple[int, Bell], _Ringer] = {}


def ring(bell: Bell = PUSH) -> None:
    """Ask for a drain soon; returns at once."""
    key = (os.getpid(), bell)
    if key not in _ringers:
        _ringers[key] = _Ringer(bell)
        _ringers[key].start()
    _ringers[key].wanted.set()


def queue_length(bell: Bell) -> int:
    """Return how many tasks wait in the broker behind this door. Raises RedisError, soon."""
    return _redis(os.getpid()).llen(bell.queue)


def answer(bell: Bell = PUSH) -> None:
    """Let the next change ring again; called by a drain before it looks for work."""
    try:
        _redis(os.getpid()).delete(bell.key)
    except redis.RedisError:
        logger.debug("Redis is away; the ring expires by itself")
