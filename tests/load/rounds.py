"""One size, from an empty database to the table's column: load, calm, steady, flat out, and whether NDW has it all."""

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway import embedded
from tests.chaos.compare import percentile
from tests.chaos.stage import Stage
from tests.load import country, cpos
from tests.load.cpos import Cpos, Load
from tests.load.usage import Usage

OURS = ("web", "worker", "imports", "beat", "relay", "postgres", "redis")
NDW_S = 0.03  # until NDW answers
CALM_PER_S, BURST_PER_S, STEADY_PER_S = 200 / 60, 2000 / 60, 200
CRAWLS, CRAWL_EVERY_S = 2, 300
ALONE_S = 20
SAMPLE = 2000
_DELIVERED = """
    UPDATE ocpi_push p SET state = 'delivered', changed_at = NULL, next_changed_at = NULL, changes = 0, whole = false,
        accepted_version = version, accepted_at = now(),
        accepted_tariff_ids = coalesce((SELECT tariff_ids FROM ocpi_location l WHERE l.id = p.location_id), '{}')
"""
_AGES = """
    SELECT extract(epoch FROM started_at + took_ms * interval '1 ms' - changed_at)::float, changes FROM ocpi_pushattempt
    WHERE outcome = 'delivered' AND changed_at IS NOT NULL AND started_at > to_timestamp(%s)
"""


@dataclass
class Figures:
    """The column of a table, and what was wrong."""

    rows: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def play(size: float, minutes: float, calm_minutes: float, say: Callable[[str], None]) -> Figures:
    """Play a size on a database of its own."""
    with TemporaryDirectory(prefix="load-") as folder, Stage(say=say) as stage:
        say(f"size {size:g}: making it up")
        parties = country.make(Path(folder), size)
        one = _Round(stage, parties, say)
        with Usage(one.processes) as one.usage:
            one.bulk()
            one.calm(calm_minutes * 60)
            one.steady(minutes * 60)
            one.alone()
        return one.figures


class _Round:
    def __init__(self, stage: Stage, parties: list[country.Party], say: Callable[[str], None]) -> None:
        self.stage, self.parties, self.say, self.figures = stage, parties, say, Figures()
        self.tokens = stage.prepare([party.id for party in parties])
        self.uploads = {party: tokens["upload"] for party, tokens in self.tokens.items()}
        self.pulls = {party: tokens["pull"] for party, tokens in self.tokens.items()}
        self.cpos = Cpos(parties, self.uploads, stage.port)
        self.usage: Usage

    def processes(self) -> dict[str, int]:
        """Return the first process of each kind, and of the servers."""
        found = {child.name: child.process.pid for child in self.stage.supervisor.children if child.process}
        servers = {"postgres": self.stage.folder.postgres_pid(), "redis": self.stage.folder.redis_pid()}
        return found | {name: pid for name, pid in servers.items() if pid}

    def row(self, name: str, words: str) -> None:
        """Write a line of the column."""
        self.figures.rows[name] = words
        self.say(f"{name}: {words}")

    # --- the country comes in ------------------------------------------------------------------------------------------

    def bulk(self) -> None:
        """Everybody uploads everything, two at a time; NDW pulls it, and so has it."""
        self._pause("the load begins later")
        for kind in ("tariffs", "locations"):
            with self._watched(f"{kind}, bulk upload") as watch, ThreadPoolExecutor(2) as pool:
                count = sum(pool.map(partial(self._upload, kind), self.parties))
            self._cost(watch, count, "imports", "postgres")
            self.row(kind, f"{count:,}")
        self.row("EVSEs", f"{sum(len(place.evses) for place in self.cpos.places):,}")
        for party, token in self.pulls.items():
            self._ndw_pulls(party, token)
        self.stage.sql(_DELIVERED)
        self.stage.sql("VACUUM ANALYZE")
        self.row("database", self._database())
        self.stage.ndw("/_faults", [{"match": {"kind": "push"}, "action": "delay", "seconds": NDW_S}])
        self._pause("")

    def _upload(self, kind: str, party: country.Party) -> int:
        return cpos.upload(party, kind, self.uploads[party.id], self.stage.port)

    def _ndw_pulls(self, party: str, token: str) -> None:
        """NDW (the simulator) crawls a party and keeps what it gets."""
        base_url = f"http://127.0.0.1:{self.stage.port}/ocpi/sender/NL/{party}"
        asked = json.dumps({"base_url": base_url, "token": token, "limit": 1000, "apply": True}).encode()
        with urllib.request.urlopen(f"{self.stage.ndw_url}/_crawl", asked, timeout=900) as answer:
            self.figures.wrong += json.load(answer)["problems"][:3]

    def _pause(self, reason: str) -> None:
        """Let nothing go to NDW; without a reason go on."""
        self.stage.sql("UPDATE tenants_connection SET is_paused = %s, pause_reason = %s", bool(reason), reason)

    def _database(self) -> str:
        return f"{self.stage.sql('SELECT pg_database_size(current_database())')[0][0] / 1e9:.2f} GB"

    # --- load ----------------------------------------------------------------------------------------------------------

    def calm(self, seconds: float) -> None:
        """As the country is on most days; every other minute comes a burst."""
        loads: list[Load] = []
        with self._watched("calm") as watch:
            while (left := seconds - watch.lasted_s()) > 1:
                per_s = BURST_PER_S if len(loads) % 2 else CALM_PER_S
                loads.append(self.cpos.at_rate(per_s, min(60, left)))
        self._judge(watch, loads)

    def steady(self, seconds: float) -> None:
        """Sixty times that, while NDW crawls everything, two at a time."""
        is_over, crawls = threading.Event(), list[dict[str, Any]]()
        crawler = threading.Thread(target=self._keep_crawling, args=(is_over, crawls))
        self.usage.most_mb.clear()
        crawler.start()
        with self._watched("steady") as watch:
            load = self.cpos.at_rate(STEADY_PER_S, seconds)
        is_over.set()
        crawler.join()
        memory = dict(self.usage.most_mb)
        self._judge(watch, [load])
        self._judge_crawls(crawls)
        for name in (*OURS, "simulator"):
            self.row(f"steady, {name}", f"{watch.cores(name):.2f} cores, {memory.get(name, 0):,.0f} MB")
        ours_mb = sum(memory.get(name, 0) for name in OURS)
        self.row("steady, all of ours", f"{watch.cores(*OURS):.2f} cores, {ours_mb:,.0f} MB")
        self.row("steady, CPU for a change", f"{watch.cpu_ms(len(load.accepted), *OURS):.2f} ms")
        self._compare(load)

    @contextmanager
    def _watched(self, name: str) -> Iterator["_Watch"]:
        watch = _Watch(name, self.usage)
        try:
            yield watch
        finally:
            watch.end()

    def _judge(self, watch: "_Watch", loads: list[Load]) -> None:
        """Write down what the uploads and the way to NDW took."""
        self._drained()
        name, took_ms = watch.name, [1000 * one for load in loads for one in load.took_s]
        accepted, refused = sum(len(load.accepted) for load in loads), sum((load.refused for load in loads), Counter())
        # Of what a request carried each change is as old as the oldest, as in the proof.
        ages = [age for age, changes in self.stage.sql(_AGES, watch.wall) for _ in range(changes)]
        self.row(f"{name}, changes", f"{accepted:,}, {accepted / watch.lasted_s():.1f}/s")
        self.row(f"{name}, upload p50 / p99 / max", _three(took_ms, "ms"))
        self.row(f"{name}, at NDW p50 / p99 / max", _three(ages, "s", 2))
        self.row(f"{name}, cores", f"{watch.cores(*OURS):.2f}")
        if refused:
            self.figures.wrong.append(f"{name}: {dict(refused)}")
        if max(ages, default=0) > 60:
            self.figures.wrong.append(f"{name}: a change took {max(ages):.0f} s")

    def _drained(self, timeout_s: float = 300) -> None:
        self.stage.wait_for(lambda: not self._waiting(), timeout_s, "NDW to have everything")

    def _waiting(self) -> int:
        """Count what NDW lacks, by the two small indexes: asked so often, a look at every Push would be the larger part."""
        return sum(
            self.stage.sql(f"SELECT count(*) FROM ocpi_push WHERE state = '{state}'")[0][0]
            for state in ("dirty", "rejected")
        )

    def _compare(self, load: Load) -> None:
        """Ask NDW itself, not our own books: when it first had something as new as some of the changes."""
        late: list[float] = []
        for change in random.Random(1).sample(load.accepted, min(SAMPLE, len(load.accepted))):
            if not change.location:
                continue
            path = f"locations/NL/{change.party}/{change.location}"
            steps = self.stage.ndw(f"/_state?object={path}")["history"]
            if change.evse:
                steps += self.stage.ndw(f"/_state?object={path}/{change.evse}")["history"]
            came = [at for at, stamp, _ in steps if stamp >= change.stamp]
            late += [max(0.0, min(came) - change.at)] if came else []
            if not came:
                self.figures.wrong.append(f"NDW never got {path} {change.evse} of {change.stamp}")
        self.row("steady, seen at NDW p50 / p99 / max", _three(late, "s", 2))

    # --- NDW pulls -----------------------------------------------------------------------------------------------------

    def _crawl(self) -> list[dict[str, Any]]:
        """Crawl everything, so many at a time, and return what each found."""
        asked = json.dumps({"port": self.stage.port, "tokens": self.pulls})
        command = [sys.executable, "-m", "tests.load.crawl", asked]
        running = [
            subprocess.Popen(command, cwd=embedded.ROOT, stdout=subprocess.PIPE, text=True) for _ in range(CRAWLS)
        ]
        return [json.loads(one.communicate()[0]) for one in running]

    def _keep_crawling(self, is_over: threading.Event, crawls: list[dict[str, Any]]) -> None:
        while not is_over.is_set():
            began = time.monotonic()
            crawls += self._crawl()
            is_over.wait(max(0.0, CRAWL_EVERY_S - (time.monotonic() - began)))

    def _judge_crawls(self, crawls: list[dict[str, Any]]) -> None:
        pages_ms = [1000 * one for crawl in crawls for one in crawl["page_s"]]
        took_s, pages = [crawl["seconds"] for crawl in crawls], len(pages_ms) // len(crawls)
        self.row("steady, full crawls", f"{len(crawls)} of {pages:,} pages, {percentile(took_s, 50):.1f} s each")
        self.row("steady, page p50 / p99 / max", _three(pages_ms, "ms"))
        self.figures.wrong += [words for crawl in crawls for words in crawl["problems"]][:5]

    # --- what comes first ----------------------------------------------------------------------------------------------

    def alone(self) -> None:
        """Each part alone and flat out: what one of it costs, and how many a core carries."""
        self._pause("uploads alone")
        for method in ("PATCH", "PUT"):
            with self._watched(f"{method} alone") as watch:
                load = self.cpos.flat_out(ALONE_S, method)
            self._cost(watch, len(load.accepted), "web", "postgres")
        waiting = self._waiting()
        with self._watched("push alone") as watch:
            self._pause("")
            self._drained()
        self._cost(watch, waiting, "worker", "relay", "postgres")
        with self._watched("page of 1,000 alone") as watch:
            pages = sum(crawl["pages"] for crawl in self._crawl())
        self._cost(watch, pages, "web", "postgres")
        self.row("database in the end", self._database())

    def _cost(self, watch: "_Watch", count: int, *whose: str) -> None:
        parts = ", ".join(f"{name} {watch.cpu_ms(count, name):.2f}" for name in whose)
        self.row(watch.name, f"{count / watch.lasted_s():,.0f}/s; CPU ms each: {parts}")


class _Watch:
    """How long something lasted, and what processes used meanwhile."""

    def __init__(self, name: str, usage: Usage) -> None:
        self.name, self.usage, self.wall = name, usage, time.time()
        self.began, self.before = time.monotonic(), usage.cpu_s()
        self.ended: float | None = None
        self.used: Counter[str] = Counter()

    def end(self) -> None:
        """Look once more."""
        self.ended, self.used = time.monotonic(), self.usage.cpu_s()
        self.used.subtract(self.before)

    def lasted_s(self) -> float:
        """Return the seconds until now, or until it ended."""
        return (self.ended or time.monotonic()) - self.began

    def cores(self, *names: str) -> float:
        """Return how many cores these kept busy."""
        return sum(self.used[name] for name in names) / self.lasted_s()

    def cpu_ms(self, count: int, *names: str) -> float:
        """Return the CPU milliseconds that these used for each of so many things."""
        return sum(self.used[name] for name in names) / max(1, count) * 1000


def _three(figures: list[float], unit: str, digits: int = 0) -> str:
    return " / ".join(f"{percentile(figures, one):,.{digits}f}" for one in (50, 99, 100)) + f" {unit}"
