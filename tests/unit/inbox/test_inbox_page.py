"""The page in a real browser: it shows what came in, updates itself, and runs nothing that an alert holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright
from webhooks import Serve, alert, webhook

from harness.binaries import find

TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Where no Chromium can be had, find says in one line what to install, and the tests fail with it.
    chromium = find("chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=str(chromium.path), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    opened = context.new_page()
    opened.on("dialog", lambda dialog: pytest.fail(f"an alert's text opened a dialog: {dialog.message}"))
    yield opened
    context.close()


@pytest.fixture
def inbox(serve: Serve) -> str:
    return serve()[1]


def post(inbox: str, *alerts: dict[str, Any]) -> None:
    requests.post(f"{inbox}/api/alertmanager", json=webhook(*alerts), timeout=30).raise_for_status()


def visit(page: Page, address: str) -> None:
    page.goto(address)
    ready(page)


def ready(page: Page, value: str = "true") -> None:
    page.wait_for_selector(f'html[data-ready="{value}"]', state="attached")


def card(page: Page, name: str) -> Any:
    return page.locator(f'[data-alertname="{name}"]')


def ago(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() - seconds, UTC).isoformat()


def test_an_alert_is_shown_with_all_that_one_needs_and_moves_when_it_clears(page: Page, inbox: str) -> None:
    visit(page, inbox)
    expect(page.locator("#firing")).to_have_text("Nothing is firing.", timeout=TIMEOUT_MS)

    annotations = {
        "summary": "Tasks wait too long",
        "description": "The oldest waits for 4 minutes.",
        "runbook_url": "https://example.org/runbooks/OldestTaskTooOld",
        "dashboard_url": "http://127.0.0.1:3000/d/celery-overview",
    }
    firing = alert(labels={"task": "charge_card"}, annotations=annotations, startsAt=ago(3_660))
    post(inbox, firing)

    shown = page.locator("#firing").locator(card(page, "OldestTaskTooOld"))
    for text in ("critical", "since", "for 1 h 1 min", "Tasks wait too long", "The oldest waits for 4 minutes."):
        expect(shown).to_contain_text(text, timeout=TIMEOUT_MS)
    expect(shown.locator(".labels")).to_have_text("queue paymentstask charge_card")
    expect(shown.get_by_role("link", name="Runbook")).to_have_attribute("href", annotations["runbook_url"])
    expect(shown.get_by_role("link", name="Dashboard")).to_have_attribute("href", annotations["dashboard_url"])
    expect(page.locator('[data-tile="critical"] b')).to_have_text("1")
    expect(page).to_have_title("(1) Alert inbox")

    post(inbox, {**firing, "status": "resolved", "endsAt": ago(60)})

    cleared = page.locator("#cleared").locator(card(page, "OldestTaskTooOld"))
    expect(cleared).to_contain_text("after 1 h", timeout=TIMEOUT_MS)
    expect(page.locator("#firing")).to_have_text("Nothing is firing.")
    expect(page.locator("#log li")).to_have_count(2)
    expect(page).to_have_title("Alert inbox")


def test_the_worst_comes_first_and_filters_narrow(page: Page, inbox: str) -> None:
    post(
        inbox,
        alert("Third", labels={"severity": "info", "queue": "emails"}),
        alert("First", labels={"severity": "critical"}),
        alert("Second", labels={"severity": "warning", "queue": "reports"}),
        alert("Last", labels={"severity": "odd"}),
    )
    visit(page, inbox)
    titles = page.locator("#firing h3")
    expect(titles).to_have_text(["First", "Second", "Third", "Last"])
    page.fill("#search", "EMAILS")
    expect(titles).to_have_text(["Third"])
    page.fill("#search", "")
    page.select_option("#severity", "warning")
    expect(titles).to_have_text(["Second"])


def test_nothing_that_an_alert_holds_becomes_markup_or_a_script(page: Page, inbox: str) -> None:
    hostile = "<img src=x onerror=alert(1)> `<script>alert(2)</script>"
    annotations = {"summary": hostile, "description": hostile, "runbook_url": "javascript:alert(3)"}
    labels = {"severity": hostile, "queue": hostile, hostile: hostile}
    post(inbox, alert(hostile, labels=labels, annotations=annotations, generatorURL="data:text/html,<script>"))
    visit(page, inbox)

    shown = page.locator("#firing article")
    expect(shown.locator("h3")).to_have_text(hostile)
    expect(shown.locator(".summary")).to_have_text(hostile.replace("`", ""))
    expect(shown.locator(".summary code")).to_have_text("<script>alert(2)</script>")
    assert page.locator("main img, main script").count() == 0
    assert shown.locator("a").count() == 0
    expect(shown.locator(".links")).to_have_text("Runbook: javascript:alert(3)")


def test_the_dead_mans_switch_is_a_sign_of_life_and_no_alert(page: Page, serve: Serve) -> None:
    _, address = serve(INBOX_WATCHDOG_TIMEOUT="3")
    visit(page, address)
    tile = page.locator('[data-tile="watchdog"]')
    expect(tile).to_contain_text("not heard yet")
    post(address, alert("Watchdog", labels={"severity": "info"}))
    expect(tile).to_contain_text("since the dead man's switch", timeout=TIMEOUT_MS)
    expect(page.locator("#firing")).to_have_text("Nothing is firing.")
    expect(tile).to_contain_text("overdue", timeout=TIMEOUT_MS)


def test_a_lost_connection_is_shown(page: Page, serve: Serve) -> None:
    child, address = serve()
    visit(page, address)
    child.kill()
    ready(page, "false")
    expect(page.locator("#link")).to_have_text("not connected")


def test_it_fits_a_phone(page: Page, inbox: str) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    wide = {"queue": "q" * 300, "task": "workers.tasks." + "t" * 100}
    post(inbox, alert("A" * 120, labels=wide), alert(status="resolved"))
    visit(page, inbox)
    expect(page.locator("article")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_page_asks_nobody_but_the_inbox(page: Page, inbox: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    post(inbox, alert())
    visit(page, inbox)
    assert asked
    assert all(url.startswith(inbox) for url in asked)
