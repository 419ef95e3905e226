"""The page as the place where Bobbin is tried: it answers, is stopped, is killed, and is looked into."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import WIDE, Window

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def looms(window: Window) -> int:
    """How often the script's sentence of 12 words stands in the open thread."""
    return "".join(await window.answers().locator(".body").all_inner_texts()).count("loom")


async def test_the_dialogue_goes_on_and_the_page_shows_that_only_bobbin_remembers_it(window: Window):
    page = window.page
    await window.say("@Bobbin What's 1+1?")
    await expect(await window.answered()).to_contain_text("2")
    await window.say("And 3 more added to that?", "#thread")
    await expect(await window.answered(2)).to_contain_text("5")

    await expect(page.locator("#sums .bedrock")).to_contain_text("3 messages, 2 turns")
    await expect(page.locator("#sums .bedrock")).to_contain_text("It kept nothing")
    await expect(page.locator("#sums .bobbin")).to_contain_text("Every thread is on disk")
    committed = page.locator("#line > .bobbin", has_text="committed")
    for transaction in ("post", "claim", "record_answer", "finish"):
        await expect(committed.filter(has_text=transaction).first).to_be_visible()
    request = page.locator("#line > .bedrock").last
    await expect(request).to_contain_text("sent 3 messages, 2 turns")
    await request.locator("summary").first.click()
    await expect(request.locator(".said-by:is(.user, .assistant) > b")).to_have_text(
        ["user", "assistant", "user"]
    )
    said = request.locator(".said-by")
    await expect(said.filter(has_text="What's 1+1?")).to_have_count(1)
    await expect(said.filter(has_text="And 3 more added to that?")).to_have_count(1)
    told = page.locator("#line > .slack", has_text="message from Ann Lee")
    await expect(told.first).to_contain_text(re.compile(r"acknowledged after \d+ ms"))
    await expect(page.locator("#line > .bobbin", has_text="turn ended")).to_have_count(2)
    await request.evaluate("node => node.scrollIntoView()")
    await window.picture("dialogue")
    await window.resize(WIDE, "dark")
    await window.picture("dialogue-dark")


async def test_two_people_share_a_thread(window: Window):
    await window.say("@Bobbin What's 1+1?")
    await window.answered()
    await window.write_as("Ben Ode")
    await window.page.click("#place .replies")
    await window.say("And 2 more?", "#thread")
    await expect(await window.answered(2)).to_contain_text("4")
    await window.write_as("Ann Lee")
    await window.page.click("#place .replies")
    await window.say("@Bobbin who said what?", "#thread")
    answer = await window.answered(3)
    await expect(answer).to_contain_text("Ann Lee: “What's 1+1?”")
    await expect(answer).to_contain_text("Ben Ode: “And 2 more?”")
    await window.picture("two-people")


async def test_killed_in_mid_answer_bobbin_starts_again_and_ends_it_once(window: Window):
    page = window.page
    await window.say("@Bobbin 1200 words, please")  # it is killed before their end
    await expect(page.locator("#thread article.streaming")).to_contain_text("loom goes on")
    await page.click("#trouble >> text=Kill Bobbin")
    await expect(page.locator("#health-words")).to_contain_text("restarted 1")
    await expect(page.locator("#thread [data-act^=feedback]")).to_have_count(2, timeout=90_000)
    await expect(page.locator("#thread article.streaming")).to_have_count(0)
    assert await looms(window) == 1200 // 12
    await expect(page.locator("#sums .bobbin")).to_contain_text("after 1 death")
    await window.picture("killed")


async def test_stop_ends_an_answer_where_it_is(window: Window):
    page = window.page
    await window.go("Bobbin")
    await window.say("A long answer, please")
    await expect(page.locator("#thread article.streaming")).to_contain_text("loom goes on")
    await page.click("#thread .status >> text=Stop")
    await expect(page.locator("#thread article.streaming")).to_have_count(0)
    await expect(page.locator("#thread .status")).to_be_empty()
    answer = await window.answered()
    assert len((await answer.inner_text()).split()) < 1500


async def test_trouble_is_made_and_each_question_is_still_answered_once(window: Window):
    page = window.page
    twice = page.locator("#trouble button", has_text="Deliver all twice")
    await twice.click()
    await expect(twice).to_have_attribute("aria-pressed", "true")
    await window.say("@Bobbin What's 2+2?")
    await expect(await window.answered()).to_contain_text("4")
    told = page.locator("#line > .slack", has_text="“@Bobbin What's 2+2?”")
    assert await told.count() >= 4  # the message and the mention, each of them twice
    await twice.click()

    await page.click("#trouble >> text=Throttle Bedrock")
    await window.say("And 1 more?", "#thread")
    await expect(await window.answered(2)).to_contain_text("5")
    await expect(page.locator("#line > .bedrock", has_text="throttled")).to_have_count(2)

    await page.click("#trouble >> text=Cut a stream")
    await window.say("300 words, please", "#thread")
    await window.answered(3)
    await expect(page.locator("#line > .bedrock", has_text="broken on purpose: reset")).to_have_count(1)
    await expect(page.locator("#thread [data-act^=feedback]")).to_have_count(6)
    assert await looms(window) == 300 // 12

    event = page.locator("#line > .slack", has_text="message from Ann Lee “300 words, please”")
    await event.locator("summary").click()
    await event.locator("text=Deliver it again").click()
    await expect(event).to_have_count(2)
    await expect(window.answers()).to_have_count(3)
