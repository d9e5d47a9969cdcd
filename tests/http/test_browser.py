"""Every page in a browser: nothing from another host, nothing that the policy forbids, nothing that axe finds."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pymongo import MongoClient

from collector.http import tokens
from collector.store.driver import Document
from tests.http.browsing import AXE, PATIENCE, Watched, answering, serving
from tests.support import missing, program

expect.set_options(timeout=1000 * PATIENCE)
PREFIX = "/prefix/203.0.113.0/24"
A4 = 718
"""The width of a printed page in CSS pixels, without margins of a centimetre."""
DURING, BEFORE = "2026-11-23T18:45:50Z", "2026-11-23T18:45:47Z"
PAGES = (
    "/",
    f"{PREFIX}?event=2026-11-23T18:45:48Z&of=192.0.2.2",
    f"/lookup?q=203.0.113.7&at={DURING}",
    "/updates?elem=withdraw",
    f"/compare?earlier={BEFORE}&later={DURING}",
    "/live",
    f"/replay/203.0.113.0/24?at={DURING}",
    "/peer/192.0.2.1",
    f"/as/64500?at={DURING}",
    "/search",
    "/prefix",
    "/replay",
    "/announcements",
    "/api/v1/docs",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def database(embedded_uri: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient[Document](embedded_uri) as client:
        client.drop_database(name)


@pytest.fixture(scope="module")
def url(embedded_uri: str, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("pages"), embedded_uri, database) as url:
        yield url


class Guarded(NamedTuple):
    """A server that asks for tokens, and one of them."""

    url: str
    token: str


@pytest.fixture
def guarded(embedded_uri: str, url: str, database: str, tmp_path: Path) -> Iterator[Guarded]:
    """Over the same archive as that at `url`."""
    token = tokens.add(tmp_path, "noc", "read")
    with answering(tmp_path, embedded_uri, database, BGPLEDGER_HTTP_TOKENS="true") as other:
        assert other != url
        yield Guarded(other, token)


@pytest.fixture
def watched(browser: Browser, url: str) -> Iterator[Watched]:
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 800})
    found = Watched(context)
    yield found
    context.close()
    assert not found.faults


@pytest.fixture
def page(watched: Watched) -> Page:
    return watched.page


def test_pages_are_fit_for_everybody(watched: Watched) -> None:
    """In both themes; on a telephone, where only tables in their frames are scrolled sideways; and on paper."""
    watched.page.route("**/api/v1/live*", lambda route: route.fulfill(content_type="text/event-stream", body=""))
    for path in PAGES:
        watched.page.goto(path)
        if AXE.exists():
            watched.page.emulate_media(color_scheme="light")
            watched.faults += watched.axe()
            watched.page.emulate_media(color_scheme="dark")
            watched.faults += watched.axe("color-contrast")
        watched.page.set_viewport_size({"width": 390, "height": 844})
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{path} is {wide} pixels wide on a telephone"
        watched.page.emulate_media(media="print")
        watched.page.set_viewport_size({"width": A4, "height": 1047})
        wide = watched.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= A4, f"{path} is {wide} pixels wide on paper"
        watched.page.emulate_media(media="screen")
        watched.page.set_viewport_size({"width": 1280, "height": 800})
    if not AXE.exists():
        missing("axe-core is not installed; `make tools` installs it where it may")


def test_a_narrow_menu_shows_which_page_is_open(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/announcements", "/compare", "/"):
        page.goto(path)
        expect(page.locator(".bar nav [aria-current]")).to_be_in_viewport(ratio=1)


def test_labels_are_whole_and_legible_on_a_telephone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(PREFIX)
    cut = """labels => labels.filter(one => one.checkVisibility()
        && one.getBoundingClientRect().right > one.ownerSVGElement.getBoundingClientRect().right).length"""
    assert page.locator(".axis text").evaluate_all(cut) == 0
    page.goto("/peer/192.0.2.1")
    heights = page.locator(".chart text.major").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert len(heights) > 3
    assert min(heights) >= 9


def test_whatever_a_router_says_stays_within_the_page(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/peer/192.0.2.1")
    page.locator("dl.facts dd").last.evaluate("one => { one.textContent = 'x'.repeat(250) }")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_picture_of_a_replay_is_scrolled_by_keys(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/replay/203.0.113.0/24?at={DURING}")
    expect(page.locator(".replay-controls")).to_be_visible()  # its script takes keys
    shown = page.locator("[data-replay='moment']").text_content()
    picture = page.get_by_role("region", name="The picture")
    picture.press("ArrowRight")
    page.wait_for_function("document.querySelector('.replay .scroll').scrollLeft > 0")
    expect(page.locator("[data-replay='moment']")).to_have_text(str(shown))


def test_the_search_box_leads_from_now_to_the_hijack(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("203.0.113.0/24")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"{PREFIX}$"))
    expect(page.locator(".origins")).to_contain_text("64511")


def test_a_mark_leads_to_its_document(page: Page) -> None:
    page.goto(PREFIX)
    page.locator("svg[data-peer='192.0.2.2'] a.change").first.click(force=True)
    expect(page.locator("#chosen")).to_contain_text("64497 64511")
    expect(page).to_have_url(re.compile("event="))
    page.go_back()
    expect(page.locator("#chosen dl")).to_have_count(0)
    page.locator("#events tbody td a").first.click()
    expect(page.locator("#chosen dl")).to_be_visible()


def test_a_time_line_is_panned_and_zoomed(page: Page) -> None:
    page.goto(PREFIX)
    line = page.locator("#timeline")
    whole = span(page)
    page.locator(".lanes").focus()
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("start="))
    expect(line).not_to_have_attribute("data-start", whole[0])
    nearer = span(page)
    assert whole[0] < nearer[0] < nearer[1] < whole[1]
    page.keyboard.press("ArrowLeft")
    expect(line).not_to_have_attribute("data-start", nearer[0])
    assert span(page)[0] < nearer[0]
    earlier = span(page)
    box = page.locator("svg[data-peer='192.0.2.1']").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 5, steps=4)
    page.mouse.up()
    expect(line).not_to_have_attribute("data-start", earlier[0])
    assert span(page)[0] > earlier[0]
    page.keyboard.press("0")
    expect(line).to_have_attribute("data-start", whole[0])
    expect(page.locator("#said")).to_have_text("")


def span(page: Page) -> tuple[str, str]:
    line = page.locator("#timeline")
    return str(line.get_attribute("data-start")), str(line.get_attribute("data-end"))


def test_the_wheel_and_two_fingers_zoom_the_line_and_not_the_page(browser: Browser, url: str) -> None:
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 800}, has_touch=True)
    watched = Watched(context)
    page = watched.page
    page.goto(PREFIX)
    line, whole = page.locator("#timeline"), span(page)
    box = page.locator("svg[data-peer='192.0.2.1']").bounding_box()
    assert box is not None
    middle, y = box["x"] + box["width"] / 2, box["y"] + 5
    page.mouse.move(middle, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    expect(line).not_to_have_attribute("data-start", whole[0])
    nearer = span(page)
    assert whole[0] < nearer[0] < nearer[1] < whole[1]
    touch = context.new_cdp_session(page)
    for kind, apart in (("touchStart", 60), ("touchMove", 120), ("touchMove", 200), ("touchEnd", None)):
        points = [] if apart is None else [{"x": middle + side * apart, "y": y, "id": side + 1} for side in (-1, 1)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(line).not_to_have_attribute("data-start", nearer[0])
    nearest = span(page)
    assert nearer[0] < nearest[0] < nearest[1] < nearer[1]
    assert page.evaluate("visualViewport.scale") == 1
    context.close()
    assert not watched.faults


def test_signing_in_and_out(browser: Browser, guarded: Guarded) -> None:
    context = browser.new_context(base_url=guarded.url)
    watched = Watched(context)
    page = watched.page
    page.goto(PREFIX)
    if AXE.exists():
        watched.faults += watched.axe()
    page.get_by_label("Token").fill(guarded.token)
    page.get_by_label("Token").press("Enter")
    expect(page).to_have_url(re.compile(f"{PREFIX}$"))
    page.wait_for_load_state()  # its script takes the key
    page.locator(".lanes").focus()
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("start="))
    assert guarded.token not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
    page.goto("about:blank")
    page.evaluate(f"location.href = '{guarded.url}/search'")  # a link from elsewhere
    expect(page.get_by_role("heading", name="Search")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    context.close()
    assert not watched.faults


def test_prefix_and_replay_are_reached_from_everywhere(page: Page) -> None:
    page.goto("/compare")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Replay").click()
    page.get_by_role("row", name="203.0.113.0/24").get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"/replay/203\.0\.113\.0/24(\?|$)"))  # the page adds its moment
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Prefix").click()
    page.get_by_role("textbox", name="Prefix").fill("203.0.113.9/24")
    page.get_by_role("textbox", name="Prefix").press("Enter")
    expect(page).to_have_url(re.compile(f"{PREFIX}$"))


def test_the_slider_shows_another_moment(page: Page) -> None:
    page.goto(f"/lookup?q=203.0.113.7&at={DURING}")
    expect(page.locator("#routes")).to_contain_text("64497 64511")
    slider = page.get_by_role("slider", name="Moment")
    slider.evaluate(f"one => {{ one.value = Date.parse('{BEFORE}') / 1000; one.dispatchEvent(new Event('input')); }}")
    expect(page.locator("#routes")).to_contain_text("64497 64498 64500")
    expect(page).to_have_url(re.compile("18%3A45%3A47"))


def test_nothing_needs_a_script_but_what_moves(browser: Browser, url: str) -> None:
    context = browser.new_context(base_url=url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("searchbox").fill("203.0.113.0/24")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("link", name="Closer").click()
    expect(page).to_have_url(re.compile("start="))
    assert page.locator("#timeline .bar").count() > 0
    context.close()


def test_a_page_says_that_the_archive_does_not_answer(page: Page, watched: Watched) -> None:
    page.goto(PREFIX)
    page.route("**/prefix/**", lambda route: route.abort())
    page.locator(".lanes").focus()
    page.keyboard.press("+")
    expect(page.locator("#said")).to_contain_text("did not answer")
    watched.faults.clear()  # the browser says so too


def test_the_tail_fills_and_can_be_paused(page: Page) -> None:
    entry = page.request.get("/api/v1/updates?elem=announce&all=true&page=1").json()["answers"][0]
    entry["reason"] = "<b>not bold</b>"
    feed = {"content_type": "text/event-stream", "body": f"id: 1-1\ndata: {json.dumps(entry)}\n\n"}
    page.route("**/api/v1/live*", lambda route: route.fulfill(**feed))
    page.goto("/live?peer=192.0.2.0/24")
    rows = page.locator("#live tbody tr")
    expect(rows.first).to_contain_text(entry["prefix"])
    expect(rows.first).to_contain_text("<b>not bold</b>")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#feed")).to_contain_text("Paused")
    expect(rows).to_have_count(0)


def ways(page: Page) -> list[str]:
    """The titles of the lines that are shown."""
    return page.locator(".graph-line.is-standing title").all_text_contents()


def test_a_replay_is_played_stepped_and_linked_to(page: Page) -> None:
    page.goto("/replay/203.0.113.0/24")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-replay='moment']")).to_contain_text("18:45:48")
    assert sorted(ways(page)) == ["192.0.2.1: 64496 64509 64511", "192.0.2.2: 64497 64511"]
    expect(page).to_have_url(re.compile("at=2026-11-23T18%3A45%3A48"))
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Picture of this moment").click(modifiers=["ControlOrMeta"])
    assert opened.value.locator("path").count() == 2
    opened.value.close()
    page.reload()
    expect(page.locator("[data-replay='moment']")).to_contain_text("18:45:48")
    page.locator("tr[data-change]").last.click()
    expect(page.locator(".graph-line.is-standing")).to_have_count(0)
    page.get_by_label("Speed").select_option("3600")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("[data-replay='moment']")).to_contain_text("18:46:16")
