"""P27: NDW crawls while everything changes. Source: reliability §2."""

import http.client
import json
import random
import time
from collections import Counter
from urllib.parse import urlsplit

from tests.chaos.compare import percentile
from tests.chaos.cpo import Cpo
from tests.chaos.promises import Promise, Verdict, together
from tests.chaos.stage import Stage

PER_S, LIMIT = 200, 50


class CrawlIsComplete(Promise):
    """Locations change, come and go at a steady rate; each crawl has what exists throughout, once."""

    name, words = "P27", "a crawl amid changes is complete, without doubles"
    parties = 4

    def __init__(self, stage: Stage, seed: int = 0, *, seconds: float = 60, locations: int = 2000) -> None:
        super().__init__(stage, seed)
        self.seconds, self.locations, self.is_over = seconds, locations // self.parties, False
        self.crawls, self.pages, self.took_s = 0, 0, list[float]()
        self.wrong: list[str] = []

    def seed(self) -> None:
        """What exists throughout."""
        together([lambda cpo=cpo: cpo.begin(self.locations) for cpo in self.cpos])

    def play(self) -> None:
        """Change and crawl."""
        chances = [random.Random(self.chance.random()) for _ in self.cpos]
        loads = [lambda c=c, r=r: self._load(c, r) for c, r in zip(self.cpos, chances, strict=True)]
        together([lambda: self._all(loads), self._crawl_on])

    def _all(self, loads: list) -> None:
        together(loads)
        self.is_over = True

    def _load(self, cpo: Cpo, chance: random.Random) -> None:
        began, pause_s = time.monotonic(), self.parties / PER_S
        for number in range(int(self.seconds / pause_s)):
            time.sleep(max(0.0, began + number * pause_s - time.monotonic()))
            if number % 20 == 7:
                cpo.put_location(f"N{number}")
            elif number % 20 == 17:
                cpo.patch_location(f"N{number - 10}", publish=False)
            else:
                cpo.next_status(f"L{chance.randrange(self.locations)}")

    def _crawl_on(self) -> None:
        while not self.is_over:
            for cpo in self.cpos:
                self._crawl(cpo)

    def _crawl(self, cpo: Cpo) -> None:
        seen: Counter[str] = Counter()
        client = http.client.HTTPConnection("127.0.0.1", self.stage.port, timeout=30)
        path = f"/ocpi/sender/NL/{cpo.party}/2.2.1/locations?limit={LIMIT}"
        while path:
            began = time.monotonic()
            client.request("GET", path, headers={"Authorization": f"Token {cpo.pull_token}"})
            answer = client.getresponse()
            envelope = json.loads(answer.read())
            self.took_s.append(time.monotonic() - began)
            if answer.status != 200 or envelope["status_code"] != 1000:
                self.wrong.append(f"{path}: HTTP {answer.status}")
                return
            seen.update(one["id"] for one in envelope["data"])
            link = urlsplit(answer.headers.get("Link", "").partition(">")[0].removeprefix("<"))
            path = f"{link.path}?{link.query}" if link.path else ""
        lacking = [f"L{n}" for n in range(self.locations) if f"L{n}" not in seen]
        self.wrong += [f"{cpo.party} lacks {lacking[:3]} of {len(seen)}"] if lacking else []
        self.wrong += [f"{cpo.party}: {one} came {count} times" for one, count in seen.items() if count > 1]
        self.crawls += 1

    def verdict(self, timeout: object) -> Verdict:
        """What left the pulls is promised here, and no difference."""
        verdict = Verdict(self.name, self.words)
        self.judge(verdict)
        return verdict

    def judge(self, verdict: Verdict) -> None:
        """Look at the crawls."""
        p99_s, count = percentile(self.took_s, 99), sum(cpo.count for cpo in self.cpos)
        verdict.figures = (
            f"{count} accepted at {PER_S}/s, {self.crawls} crawls, {len(self.took_s)} pages, p99 {p99_s * 1000:.0f} ms"
        )
        verdict.wrong += self.wrong
        verdict.check(self.crawls >= 8, f"only {self.crawls} crawls")
        verdict.check(p99_s <= 1, f"a page took {p99_s:.1f} s (p99)")
