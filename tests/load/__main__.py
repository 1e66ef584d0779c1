"""`make load`: the Netherlands for a while on this machine, NDW 30 ms away; a table of what it took, and what comes first.

python -m tests.load                          at size 1: 87,000 Locations, 115,000 Tariffs, 40 tenants
python -m tests.load --sizes 0.2 1 5          the same with a fifth and with five times the data
python -m tests.load --sizes 0.05 --minutes 0.5 --calm-minutes 0.5      to see it work

Every size: bulk upload of everything, calm (200 changes a minute, every other minute 2,000), steady (200 changes a second,
with two crawls of everything by NDW at the same time, every five minutes), then each part alone and flat out. Exit 1 when NDW
lacks anything in the end, a change took over a minute, or an upload or a crawl went wrong.
"""

import argparse
import json
import os
import platform
import sys

from tests.load.rounds import Figures, play


def main(arguments: list[str] | None = None) -> int:
    """Return 1 when something was not as it has to be."""
    asked = _arguments(arguments)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; all of it on this machine"
    )
    found: list[Figures] = []
    for size in asked.sizes:
        found.append(play(size, asked.minutes, asked.calm_minutes, lambda line: print(line, flush=True)))
        if asked.json:
            with open(asked.json, "a") as file:
                print(json.dumps({"size": size, **found[-1].rows, "wrong": found[-1].wrong}), file=file)
    print(table(asked.sizes, found))
    wrong = [
        f"size {size:g}: {words}" for size, figures in zip(asked.sizes, found, strict=True) for words in figures.wrong
    ]
    print("\n".join(wrong or ["Everything held."]))
    return 1 if wrong else 0


def table(sizes: list[float], found: list[Figures]) -> str:
    """Return the table, in Markdown: a column for each size."""
    lines = [["", *(f"size {size:g}" for size in sizes)], ["---", *("---:" for _ in sizes)]]
    lines += [[name, *(figures.rows.get(name, "") for figures in found)] for name in found[0].rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.load", description=__doc__, formatter_class=text)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0], help="multiples of the Netherlands (1)")
    parser.add_argument("--minutes", type=float, default=10, help="of the steady load (%(default)g)")
    parser.add_argument("--calm-minutes", type=float, default=5, help="of the calm load (%(default)g)")
    parser.add_argument("--json", help="add the figures to this file as well, a line for each size")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
