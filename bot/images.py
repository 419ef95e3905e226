"""Makes a picture ready for the model, in a process of its own with little to break and nothing to steal.

Decoders are where a hostile file strikes. So `ready` runs this very file as a script, isolated, with an empty
environment and hard limits of memory, time and files; the picture goes in and comes out through pipes.
"""

import asyncio
import resource
import sys
import warnings
from io import BytesIO

LONG_EDGE = 1568
"""Pixels: Claude makes what is larger smaller itself (docs.anthropic.com, vision)."""
MOST_BYTES = 3_750_000
"""Of a picture, as Bedrock takes it."""
_MOST_PIXELS = 40_000_000
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "ICO", "JPEG2000")
_AS_THEY_ARE = ("png", "jpeg", "gif", "webp")
_LOSSY = ("jpeg", "mpo", "webp", "avif", "jpeg2000")
_ORIENTATION = 0x0112

_MEMORY_BYTES = 1 << 30
_CPU_SECONDS = 10
_SECONDS = 30.0


async def ready(data: bytes) -> tuple[str, bytes] | None:
    """Return the picture's format and bytes, made small enough; None where it cannot be read safely."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        __file__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    try:
        async with asyncio.timeout(_SECONDS):
            out, _ = await child.communicate(data)
    except TimeoutError:
        return None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    kind, _, picture = out.partition(b"\n")
    if child.returncode != 0 or not picture or len(picture) > MOST_BYTES:
        return None
    return kind.decode(), picture


# ---------------------------------------------------------------- in the child


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    warnings.simplefilter("error")  # of very many pixels Pillow only warns
    kind, picture = _small(sys.stdin.buffer.read())
    sys.stdout.buffer.write(kind.encode() + b"\n" + picture)


def _small(data: bytes) -> tuple[str, bytes]:
    """Return the first frame, upright and small; as it came where it is so already."""
    from PIL import Image, ImageOps  # noqa: PLC0415  only the child decodes

    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    with Image.open(BytesIO(data), formats=_FORMATS) as image:
        kind = (image.format or "").lower()
        upright = image.getexif().get(_ORIENTATION, 1) == 1
        if max(image.size) <= LONG_EDGE and len(data) <= MOST_BYTES and upright and kind in _AS_THEY_ARE:
            image.load()  # it is whole
            return kind, data
        image.draft("RGB", (LONG_EDGE, LONG_EDGE))  # decode a large JPEG at half its size or less
        frame = ImageOps.exif_transpose(image)
    frame = frame.convert("RGBA" if frame.has_transparency_data else "RGB")
    frame.thumbnail((LONG_EDGE, LONG_EDGE))
    out = BytesIO()
    if kind not in _LOSSY:
        frame.save(out, "PNG")
        if out.tell() <= MOST_BYTES:
            return "png", out.getvalue()
        out = BytesIO()
    if frame.mode == "RGBA":
        frame = Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame)
    frame.convert("RGB").save(out, "JPEG", quality=85)
    return "jpeg", out.getvalue()


if __name__ == "__main__":
    _main()
