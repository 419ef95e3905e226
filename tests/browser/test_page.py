"""The page as a page: files, a narrow screen, the keyboard alone, names, contrast, the app's own places."""

from typing import Any

import pytest
from playwright.async_api import FilePayload, expect

from tests.browser.conftest import NARROW, WIDE, Window

pytestmark = pytest.mark.asyncio(loop_scope="module")

_NAMELESS = """() => [...document.querySelectorAll('button, input, select, textarea, a, dialog, .log')]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }))
  .filter((node) => ![node.getAttribute('aria-label'), node.textContent, node.labels?.[0]?.textContent,
    document.getElementById(node.getAttribute('aria-labelledby'))?.textContent].some((name) => name?.trim()))
  .map((node) => node.outerHTML.slice(0, 200))"""
# Text on its ground as WCAG 2 has it: 4.5, for large text 3.
_FAINT = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement, words = walk.currentNode.data.trim();
    const style = getComputedStyle(node);
    if (!words || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (node.closest('script, style, template, :disabled, [aria-hidden=true]')) continue;
    const [a, b] = [light(style.color), light(ground(node))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), bold = style.fontWeight >= 700;
    const contrast = (a + 0.05) / (b + 0.05), least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    if (contrast < least) found.push(`${contrast.toFixed(2)} ${words.slice(0, 40)}`);
  }
  return found;
}"""
# Where the focus is: what it is called, whether it can be seen there, and in which part of the page.
_FOCUS = """() => {
  const node = document.activeElement, seen = [node, node.closest('label'), node.closest('.composer')];
  if (node.matches('#you input')) seen.push(node.nextElementSibling);
  return {
    words: node.getAttribute('aria-label') ?? (node.id || node.textContent || node.name).trim(),
    shown: seen.some((each) => each && getComputedStyle(each).outlineStyle !== 'none'),
    pane: node.closest('#skip, #top, #guide, #places, #place, #thread, #beneath')?.id ?? '',
  };
}"""


async def walk(window: Window, most: int = 120) -> list[dict[str, Any]]:
    """Press Tab from the page's begin to its end; return the stops."""
    await window.page.focus("#skip")
    stops = [await window.page.evaluate(_FOCUS)]
    while stops[-1]["pane"] and len(stops) < most:
        await window.page.keyboard.press("Tab")
        stops.append(await window.page.evaluate(_FOCUS))
    return stops[:-1]


async def test_a_file_is_added_and_deleted_again(window: Window):
    page = window.page
    file = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"The offsite is on Friday.")
    await page.set_input_files("#place input[type=file]", file)
    await expect(page.locator("#place .attached")).to_contain_text("With notes.txt")
    await window.say("@Bobbin how many messages?")
    await window.answered()
    message = page.locator("#thread article", has_text="how many messages?")
    async with page.expect_download() as started:
        await message.locator(".files a", has_text="notes.txt").click()
    assert (await (await started.value).path()).read_bytes() == file["buffer"]
    await window.picture("files")
    await message.locator(".files button").click()
    await expect(message.locator(".files")).to_contain_text("was deleted")


async def test_tables_code_and_lists_are_shown_as_such(window: Window):
    await window.say("@Bobbin Show me a table, please")
    await expect((await window.answered()).locator("td.right").first).to_have_text("3")
    await window.say("And some code?", "#thread")
    await expect((await window.answered(2)).locator("pre code")).to_contain_text("def greet(name: str)")
    await window.picture("markdown")


async def test_a_narrow_screen_shows_one_thing_at_a_time(window: Window):
    page = window.page
    await window.resize(NARROW)
    await page.reload()
    await expect(page.locator("#beneath")).to_be_hidden()
    await window.picture("narrow")
    await window.say("@Bobbin What's 1+1?")
    await window.answered()
    await expect(page.locator("#place")).to_be_hidden()
    await window.picture("narrow-thread")
    for act, shown in (("#look", "#beneath"), ("#look", "#thread"), ("#thread .close", "#place")):
        await page.click(act)
        await expect(page.locator(shown)).to_be_visible()
        assert await page.evaluate("() => document.scrollingElement.scrollWidth") <= NARROW[0]
        for node in await page.locator(f"{shown} button:visible").all():
            box = await node.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= NARROW[0]


async def test_the_keyboard_alone_is_enough(window: Window):
    page, press = window.page, window.page.keyboard.press
    await press("Tab")
    await expect(page.locator("#skip")).to_be_focused()
    await press("Enter")
    await expect(page.locator("#place textarea")).to_be_focused()
    await page.keyboard.type("@Bobbin What's 1+1?")
    await press("Enter")
    await expect(page.locator("#thread textarea")).to_be_focused()
    await window.answered()
    await page.keyboard.type("And 3 mroe?")
    await press("Enter")
    await expect(page.locator("#thread article", has_text="And 3 mroe?")).to_have_count(1)
    await press("ArrowUp")
    await expect(page.locator("#thread textarea")).to_have_value("And 3 mroe?")
    for _ in "roe?":
        await press("Backspace")
    await page.keyboard.type("ore?")
    await press("Enter")
    await expect(page.locator("#thread article", has_text="And 3 more?")).to_contain_text("(edited)")
    await window.answered(2)
    await expect(page.locator("#line > .bobbin", has_text="turn ended")).to_have_count(2)
    await press("Escape")
    await expect(page.locator("#place textarea")).to_be_focused()
    await expect(page.locator("#thread")).to_be_hidden()

    stops = await walk(window)
    assert [stop["words"] for stop in stops if not stop["shown"]] == []
    panes = list(dict.fromkeys(stop["pane"] for stop in stops))
    assert panes == ["skip", "top", "guide", "places", "place", "beneath"]
    names = [stop["words"] for stop in stops if stop["pane"] == "place"]
    for name in ("Reply in its thread", "React with 👍", "Edit", "Delete", "@Bobbin", "/bobbin", "Send"):
        assert name in names


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_has_a_name_and_can_be_read(window: Window, scheme: Any):
    page = window.page
    await window.say("@Bobbin fail no_access")
    await expect(page.locator("#thread [data-act^=try]")).to_be_visible()
    await window.say("Show me a table, please", "#thread")
    await window.answered(2)
    await page.locator("#line > .bedrock").first.locator("summary").first.click()
    await page.locator("#place article").first.hover()
    for size in (WIDE, NARROW):
        await window.resize(size, scheme)
        assert await page.evaluate(_NAMELESS) == []
        assert await page.evaluate(_FAINT) == []
    ids = await page.evaluate("() => [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
    assert await page.locator("h1").count() == 1
    assert await page.locator("html").get_attribute("lang") == "en"


async def test_a_channel_without_bobbin_says_so_and_a_private_place_is_only_for_its_people(window: Window):
    page = window.page
    await window.go("not-invited")
    await page.get_by_role("button", name="Invite Bobbin").click()
    await expect(page.locator("#place .system")).to_contain_text("@Bobbin has joined")
    await window.write_as("Cleo Tam")
    await expect(page.locator("#places button", has_text="private")).to_have_count(0)
    await expect(page.locator("#places button", has_text="general")).to_have_count(1)


async def test_a_command_is_answered_to_one_person_only(window: Window):
    note = window.page.locator("#place article.note")
    await window.say("/bobbin help")
    await expect(note).to_contain_text("only you see this")
    await expect(note).to_contain_text("/bobbin usage")
    await window.write_as("Ben Ode")
    await expect(note).to_have_count(0)


async def test_an_answer_has_a_menu_and_can_be_judged(window: Window):
    page = window.page
    await window.say("@Bobbin What's 1+1?")
    await window.answered()
    answer = window.answers().first
    await answer.get_by_role("button", name="Bad answer").click()
    await expect(page.locator("#modal")).to_be_visible()
    await window.picture("feedback")
    await page.locator("#modal textarea").fill("Too short")
    await page.locator("#modal [type=submit]").click()
    await expect(page.locator("#modal")).to_be_hidden()
    await expect(page.locator("#line > .slack", has_text="view_submission")).to_contain_text("acknowledged")
    await answer.hover()
    await answer.get_by_label("More to do with this message").select_option(label="Answer again")
    await expect(page.locator("#line > .bedrock")).to_have_count(2)
    await expect(answer).to_contain_text("2")


async def test_home_stands_beside_the_messages_of_the_app(window: Window):
    page = window.page
    await window.go("Bobbin")
    await expect(page.locator("#place .prompts button")).not_to_have_count(0)
    await page.get_by_role("button", name="Home", exact=True).click()
    await expect(page.locator("#place .home h3").first).to_be_visible()
    await expect(page.locator("#place .composer")).to_be_hidden()
    await window.picture("home")
    await page.get_by_role("button", name="Messages", exact=True).click()
    await expect(page.locator("#place .composer")).to_be_visible()
