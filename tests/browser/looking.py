"""Look at a page as axe and a person do: violations in both themes, errors in its console, a picture of each."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page

ROOT = Path(__file__).resolve().parent.parent.parent
SCREENSHOTS = ROOT / "var" / "screenshots"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = {"desk": (1440, 900), "phone": (390, 844)}
BAD = ("serious", "critical")
_AXE = Axe()
# Two frames: a page that has just come in begins what it fades in with its next ones.
_SET_THEME = """async dark => {
    document.documentElement.classList.toggle('dark', dark);
    document.documentElement.classList.toggle('light', !dark);
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    document.getAnimations().forEach(each => each.finish());
}"""


def chromium_path() -> str:
    """Return the machine's Chromium. Raises RuntimeError where there is none."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        raise RuntimeError(f"None of {', '.join(CHROMIUMS)} is on the PATH (Debian: apt-get install chromium).")
    return found


def listen(page: Page) -> list[str]:
    """Return a list that gathers the errors of a page and its console."""
    heard: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            heard.append(f"{page.url}: {message.text} ({message.location.get('url', '')})")

    page.on("console", hear)
    page.on("pageerror", lambda error: heard.append(f"{page.url}: {error}"))
    return heard


def sound(page: Page, name: str) -> None:
    """Demand of a page that nothing serious hinders anybody, in light and dark; leave a picture of each."""
    wrong: list[str] = []
    for theme in ("light", "dark"):
        page.evaluate(_SET_THEME, theme == "dark")
        _picture(page, f"{name}-{theme}")
        # What is no matter of colours is the same in the dark.
        options = {"resultTypes": ["violations"]} | ({"runOnly": ["color-contrast"]} if theme == "dark" else {})
        wrong += [f"{theme}: {words}" for words in _violations(_AXE.run(page, options=options).response["violations"])]
    page.evaluate(_SET_THEME, False)
    assert not wrong, f"{page.url} ({name})\n" + "\n".join(wrong)


def _violations(found: Iterable[dict[str, Any]]) -> list[str]:
    return [
        f"{one['impact']} {one['id']}: {one['help']}\n    {node['target']} {node['html'][:200]}\n    {_why(node)}"
        for one in found
        if one["impact"] in BAD
        for node in one["nodes"][:5]
    ]


def _why(node: dict[str, Any]) -> str:
    return re.sub(r"\s+", " ", node.get("failureSummary", ""))[:300]


def _picture(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = page.viewport_size["width"] if page.viewport_size else 0
    file = re.sub(r"[^a-z0-9-]+", "-", f"{name}-{width}".lower())
    page.screenshot(path=SCREENSHOTS / f"{file}.png", full_page=os.environ.get("FULL_PAGE") == "1")
