"""A browser before the sandbox's page: Debian's chromium, and for each test a sandbox and a window.

With PICTURES=1 in the environment the tests write what they see to docs/pictures/.
"""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Locator, Page, Request, async_playwright, expect

from tests.processes import ROOT, launcher

WIDE, NARROW = (1280, 800), (390, 844)
_ENVIRONMENT = dict(os.environ)  # noqa: TID251  handed on to the sandbox; PICTURES is no setting of Bobbin
_COLOURS = 96
expect.set_options(timeout=60_000)  # the machine may be busy


class Window:
    """What a person does at the page. A pane is #place or #thread."""

    def __init__(self, page: Page, browser: Browser) -> None:
        self.page, self.browser = page, browser

    async def write_as(self, name: str) -> None:
        """Become somebody else."""
        await self.page.locator("#you label", has_text=name).click()

    async def go(self, place: str) -> None:
        """Look at a channel or DM."""
        named = re.compile(rf"^\S+ {place}$")
        await self.page.locator("#places button", has_text=named).click()
        await expect(self.page.locator("#place h2")).to_have_text(named)

    async def say(self, text: str, pane: str = "#place") -> None:
        """Write a message, and send it."""
        await self.page.fill(f"{pane} textarea", text)
        await self.page.press(f"{pane} textarea", "Enter")

    def answers(self) -> Locator:
        """Bobbin's finished messages in the open thread."""
        return self.page.locator("#thread article.bot:not(.streaming)")

    async def answered(self, count: int = 1) -> Locator:
        """Wait for so many finished answers in the open thread; return the last."""
        await expect(self.answers()).to_have_count(count)
        return self.answers().last

    async def picture(self, name: str) -> None:
        """Write what is seen to docs/pictures/, where pictures are asked for."""
        if _ENVIRONMENT.get("PICTURES"):
            seen = Image.open(BytesIO(await self.page.screenshot(animations="disabled")))
            folder = ROOT / "docs" / "pictures"
            folder.mkdir(exist_ok=True)
            seen.convert("RGB").quantize(_COLOURS).save(folder / f"{name}.png", optimize=True)

    async def resize(self, size: tuple[int, int], scheme: Literal["light", "dark"] = "light") -> None:
        """Look at the page at another size, in other light."""
        await self.page.set_viewport_size({"width": size[0], "height": size[1]})
        await self.page.emulate_media(color_scheme=scheme)


SANDBOX = """
import sys
from pathlib import Path

import bot.sandbox.command as command
from bot.__main__ import main
from bot.slack.manifest import manifest
from tests.processes import Launcher

async def told(*_):
    return manifest()

async def forked(_, *arguments, cwd, env, stdout, **__):
    log = Path(stdout.name)
    start = Launcher(PATH).start
    return await start(arguments, environment=env, cwd=cwd, output=log, errors=log)

command._manifest = told
command.asyncio.create_subprocess_exec = forked
sys.exit(main())
"""
"""The sandbox, with its Bobbin a fork too; tests/integration starts both as people do."""


@pytest_asyncio.fixture(loop_scope="module")
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """The page's address of a sandbox."""
    inherited = {name: value for name, value in _ENVIRONMENT.items() if not name.startswith("SANDBOX_")}
    output, errors = tmp_path / "sandbox.out", tmp_path / "sandbox.log"
    process = await launcher().start(
        ["-c", SANDBOX.replace("PATH", repr(launcher().path)), "sandbox"],
        environment=inherited | {"SANDBOX_PORT": "0"},
        cwd=ROOT,
        output=output,
        errors=errors,
    )
    try:
        while "Ctrl-C" not in (said := output.read_text() if output.exists() else ""):
            assert process.returncode is None, errors.read_text()
            await asyncio.sleep(0.05)
        yield said.splitlines()[-1].split()[2]
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's chromium; a machine without it is told how to get it, and the test fails."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.fail("the browser tests need chromium: apt-get install -y --no-install-recommends chromium")
    async with async_playwright() as playwright:
        options = ["--no-sandbox", "--force-color-profile=srgb"]  # root has no sandbox
        browser = await playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def window(address: str, browser: Browser) -> AsyncIterator[Window]:
    """A wide window with the page in it. No error may show in its console, no request leave the machine."""
    context = await browser.new_context(
        viewport={"width": WIDE[0], "height": WIDE[1]},
        color_scheme="light",
        reduced_motion="reduce",
        locale="en-GB",
    )
    page = await context.new_page()
    wrong: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((address.partition("?")[0], "data:", "blob:")):
            wrong.append(request.url)

    page.on("request", note)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    await page.goto(address)
    await expect(page.locator("#places button").first).to_be_visible()
    yield Window(page, browser)
    await context.close()
    assert not wrong
