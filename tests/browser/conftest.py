"""One gateway and one Chromium for all; pages at a desk and on a phone, logged in, whose consoles are listened to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser import looking
from tests.browser.stage import Cpo, Gateway

PATIENCE_MS = 15_000

Opener = Callable[..., Page]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the pictures are."""
    count = len(list(looking.SCREENSHOTS.glob("*.png")))
    terminalreporter.write_line(f"{count} screenshots in {looking.SCREENSHOTS}")


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """The running gateway, with its example tenant."""
    looking.chromium_path()  # before anything is started
    for old in looking.SCREENSHOTS.glob("*.png"):
        old.unlink()
    with TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        running = Gateway(Path(folder))
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="session")
def cast(gateway: Gateway) -> dict[str, Cpo]:
    """The CPOs of the walks, one for each, by party."""
    return gateway.cast("PAG", "REF", "BRK", "OUT", "OWN", "RIV")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The machine's Chromium; its sandbox needs what containers do not give to root."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=looking.chromium_path(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def admin(gateway: Gateway, chromium: Browser) -> dict:
    """The cookies of the administrator."""
    context = chromium.new_context()
    log_in(context.new_page(), gateway, gateway.user, gateway.password)
    state = context.storage_state()
    context.close()
    return dict(state)


def log_in(page: Page, gateway: Gateway, name: str, password: str) -> None:
    """Log in by the form, as a person does."""
    page.goto(f"{gateway.url}/admin/")
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("button[type=submit], input[type=submit]").first.click()
    page.wait_for_url(f"{gateway.url}/admin/")


@pytest.fixture
def opened(chromium: Browser, gateway: Gateway) -> Iterator[Opener]:
    """Open pages of a width, with cookies or without; no console may have an error in the end."""
    contexts: list[BrowserContext] = []
    heard: list[list[str]] = []

    def open_page(width: str = "desk", state: dict | None = None) -> Page:
        wide, high = looking.WIDTHS[width]
        contexts.append(
            chromium.new_context(
                viewport={"width": wide, "height": high},
                base_url=gateway.url,
                storage_state=state,  # type: ignore[arg-type]
                locale="en-GB",
                reduced_motion="reduce",
            )
        )
        contexts[-1].set_default_timeout(PATIENCE_MS)
        page = contexts[-1].new_page()
        heard.append(looking.listen(page))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [words for each in heard for words in each] == []


@pytest.fixture
def desk(opened: Opener, admin: dict) -> Page:
    """A page of the administrator, 1440 pixels wide."""
    return opened("desk", admin)


@pytest.fixture
def phone(opened: Opener, admin: dict) -> Page:
    """A page of the administrator, 390 pixels wide."""
    return opened("phone", admin)
