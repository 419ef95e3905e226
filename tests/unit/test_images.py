"""Pictures are made ready in a process of their own."""

import asyncio
import zlib
from io import BytesIO
from struct import pack
from typing import Any

import pytest
from PIL import Image

from bot import images
from bot.images import LONG_EDGE, MOST_BYTES, ready


def picture(size: tuple[int, int], kind: str, mode: str = "RGB", **options: Any) -> bytes:
    out = BytesIO()
    Image.new(mode, size).save(out, kind, **options)
    return out.getvalue()


def bomb(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    head = pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_a_small_picture_stays_as_it_came(kind: str):
    data = picture((40, 30), kind)
    assert await ready(data) == (kind.lower(), data)


async def test_a_large_one_is_made_small():
    made = await ready(picture((4000, 3000), "JPEG"))
    assert made is not None
    assert Image.open(BytesIO(made[1])).size == (LONG_EDGE, LONG_EDGE * 3 // 4)


async def test_one_of_many_bytes_is_packed_tighter():
    noise = Image.effect_noise((1500, 1500), 100).convert("RGB")
    out = BytesIO()
    noise.save(out, "BMP")
    made = await ready(out.getvalue())
    assert made is not None
    assert len(made[1]) <= MOST_BYTES


async def test_what_lies_on_its_side_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    made = await ready(picture((40, 30), "JPEG", exif=exif.tobytes()))
    assert made is not None
    assert Image.open(BytesIO(made[1])).size == (30, 40)


@pytest.mark.parametrize(
    ("kind", "mode"), [("BMP", "RGB"), ("TIFF", "CMYK"), ("AVIF", "RGB"), ("ICO", "RGBA")]
)
async def test_other_kinds_are_converted(kind: str, mode: str):
    made = await ready(picture((32, 32), kind, mode))
    assert made is not None
    assert made[0] in ("png", "jpeg")


@pytest.mark.parametrize(
    "data",
    [
        bomb(50_000),
        bomb(7_000),
        picture((400, 300), "JPEG")[:300],
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"",
    ],
    ids=["huge", "large", "cut", "garbage", "a program for a printer", "nothing"],
)
async def test_what_is_damaged_or_a_bomb_is_none(data: bytes):
    assert await ready(data) is None


async def test_one_that_takes_too_long_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "_SECONDS", 0.0)
    assert await ready(picture((40, 30), "PNG")) is None


async def test_ending_the_wait_ends_the_process(monkeypatch: pytest.MonkeyPatch):
    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def noted(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        assert options["env"] == {}
        started.append(await create(*arguments, **options))
        return started[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    task = asyncio.create_task(ready(picture((3000, 3000), "PNG")))
    while not started:  # noqa: ASYNC110  nothing tells when a process was started
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started[0].returncode is not None
