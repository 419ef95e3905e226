"""Files that people attach: what the model reads of them, and what is said of those that it cannot."""

import base64
import zlib
from collections.abc import Callable
from io import BytesIO
from struct import pack
from typing import Any

import pytest
from PIL import Image

from bot.sandbox.bedrock import Bedrock
from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, words
from tests.e2e.test_reply import below

PDF = b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF"
LOCKED = PDF.replace(b"trailer <<", b"trailer <</Encrypt 5 0 R ")


def picture(size: tuple[int, int] = (40, 30), kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", size, "teal").save(out, kind)
    return out.getvalue()


def bomb(side: int = 30_000) -> bytes:
    """A PNG of some kilobytes that is gigabytes when unpacked."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    head = pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
async def scene(bobbin: Bobbin) -> Scene:
    return Scene(bobbin)


def files(asked: Any) -> list[tuple[str, str, bytes]]:
    """Of each file of a request: its kind, its name (a picture has none), its bytes."""
    found = []
    for message in asked.body["messages"]:
        for block in message["content"]:
            for kind in ("image", "document"):
                if kind in block:
                    data = base64.b64decode(block[kind]["source"]["bytes"])
                    found.append((block[kind]["format"], block[kind].get("name", ""), data))
    return found


def noted(scene: Scene, thread: str) -> str:
    return "\n".join(below(scene.answers(thread)[-1]))


async def test_the_model_reads_what_came_with_a_message_and_goes_on_reading_it(scene: Scene) -> None:
    sent = [("plan.txt", b"Ship it."), ("a.b.pdf", PDF), ("cat.png", picture()), ("main.py", b"print(1)\n")]
    thread = await scene.mention("What is this?", files=sent)
    await scene.answered(thread)
    await scene.say("And now?", thread=thread)
    await scene.answered(thread, 2)
    for asked in scene.requests:
        assert files(asked) == [
            ("txt", "plan txt", b"Ship it."),
            ("pdf", "a b pdf", PDF),
            ("png", "", picture()),
            ("txt", "main py", b"print(1)\n"),
        ]
        assert words(asked)[0].endswith("What is this?\n[attached: plan.txt, a.b.pdf, cat.png, main.py]")
    assert "could not read" not in noted(scene, thread)
    downloads = [entry for entry in scene.slack.log if entry.kind == "download"]
    assert len(downloads) == 4


async def test_a_large_picture_is_made_small_and_others_are_converted(scene: Scene) -> None:
    photos = [("photo.jpg", picture((3000, 2000), "JPEG")), ("scan.tiff", picture((20, 10), "TIFF"))]
    thread = await scene.mention("Look", files=photos)
    await scene.answered(thread)
    (first, second) = files(scene.requests[0])
    assert (first[0], Image.open(BytesIO(first[2])).size) == ("jpeg", (1568, 1045))
    assert second[0] == "png"


async def test_what_cannot_be_read_is_named_with_its_reason_and_the_rest_is_answered(scene: Scene) -> None:
    sent: list[Any] = [
        ("plan.key", b"PK\x03\x04\x00\x00keynote"),
        ("empty.txt", b""),
        ("huge.bin", b"x", "", 1 << 30),
        ("false.png", b"MZ\x90\x00 a program"),
        ("locked.pdf", LOCKED),
        ("bomb.png", bomb()),
        ("half.jpg", picture((800, 600), "JPEG")[:700]),
        ("board", b"", "", None, "external"),
        ("clip.mp4", b"\x00\x00\x00\x18ftypmp42"),
        ("lies.txt", b"x" * 5_000_000, "", 10),
        ("good.md", b"# Yes"),
    ]
    thread = await scene.mention("say exactly: done", files=sent)
    assert (await scene.answered(thread))[0].startswith("done")
    assert [name for _, name, _ in files(scene.requests[0])] == ["good md"]
    told = noted(scene, thread)
    for name, reason in {
        "plan.key, clip.mp4": "I can't read this kind of file",
        "empty.txt": "there is nothing in it",
        "huge.bin, lies.txt": "I read pictures of up to 20 MB, other files of up to 4.5 MB",
        "false.png": "what is in it is not what its name says",
        "locked.pdf": "it is locked with a password",
        "bomb.png, half.jpg": "it is damaged, or too large when unpacked",
        "board": "it is kept outside Slack",
    }.items():
        assert f"I could not read {name}: {reason}." in told, told
    assert "good.md" not in told
    assert "huge.bin (not read: I read pictures of up to 20 MB" in words(scene.requests[0])[0]


async def test_of_forty_files_at_once_the_newest_are_read_and_each_other_is_named(scene: Scene) -> None:
    sent = [(f"n{n:02}.png", picture((n + 1, 1))) for n in range(40)]
    thread = await scene.mention("say exactly: seen", files=sent)
    answers = await scene.bobbin.answered(scene.channel, thread, timeout=200)  # each has a process of its own
    assert answers[0].startswith("seen")
    assert len(files(scene.requests[0])) == 20
    assert all(f"n{n:02}.png" in noted(scene, thread) for n in range(20))
    assert not any(f"n{n:02}.png" in noted(scene, thread) for n in range(20, 40))


async def test_older_files_make_room_in_steps_so_that_the_prefix_stays(scene: Scene) -> None:
    thread = await scene.mention("0", files=[("d0.txt", b"0")])
    await scene.answered(thread)
    for n in range(1, 8):
        await scene.say(str(n), thread=thread, files=[(f"d{n}.txt", str(n).encode())])
        await scene.answered(thread, n + 1)
    shown = ["".join(name[1] for _, name, _ in files(asked)) for asked in scene.requests]
    assert shown == ["0", "01", "012", "0123", "01234", "45", "456", "4567"]
    assert "d0.txt (not read: I read 20 pictures and 5 other files at a time)" in words(scene.requests[-1])[0]
    assert "could not read" not in noted(scene, thread)


async def test_a_file_of_another_organisation_is_looked_up(make: Callable[..., Bobbin]) -> None:
    scene = Scene(await make(EXTERNAL_USERS="allow").start())
    guest = scene.slack.add_person("Eve Far", external_team="T0FAR")
    sent = [("far.txt", b"From afar."), ("gone.txt", b"Gone.")]
    scene.slack.faults.add("files.info", "file_deleted", after=1)
    thread = await scene.mention("Read this", by=guest, files=sent)
    await scene.answered(thread)
    assert len(files(scene.requests[0])) == 1
    assert "I could not read a file: it was deleted." in noted(scene, thread)


async def test_a_download_that_fails_is_tried_again_and_what_is_not_given_is_named(scene: Scene) -> None:
    for kind in ("http", "reset_before", "reset_after"):
        scene.slack.faults.add("files-pri", kind)
    thread = await scene.mention("Read this", files=[("a.txt", b"Alpha " * 100), ("b.txt", b"Beta " * 100)])
    await scene.answered(thread)
    assert [data for _, _, data in files(scene.requests[0])] == [b"Alpha " * 100, b"Beta " * 100]
    scene.slack.faults.add("files-pri", "html")
    await scene.say("And this", thread=thread, files=[("c.txt", b"Gamma")])
    await scene.answered(thread, 2)
    assert "I could not read c.txt: Slack does not give it to me." in noted(scene, thread)


async def test_a_turn_that_is_taken_up_again_fetches_nothing_twice(scene: Scene, bobbin: Bobbin) -> None:
    scene.bedrock.hold()
    thread = await scene.mention("Read this", files=[("a.txt", b"Alpha"), ("no.key", b"\x00")])
    await scene.bedrock.wait_for(lambda it: it.open == 1)
    await bobbin.kill()
    scene.bedrock.release()
    await bobbin.start()
    await scene.answered(thread)
    assert [data for _, _, data in files(scene.requests[-1])] == [b"Alpha"]
    assert len([entry for entry in scene.slack.log if entry.kind == "download"]) == 2
    assert "no.key" in noted(scene, thread)


async def test_a_file_is_kept_once_and_goes_with_the_last_message_that_brought_it(
    scene: Scene, bobbin: Bobbin
) -> None:
    sent = [("a.txt", b"A secret to forget")]
    thread = await scene.mention("Read this", files=sent)
    await scene.answered(thread)
    again = await scene.say("And this", thread=thread, files=[("b.txt", sent[0][1])])
    await scene.answered(thread, 2)
    assert await bobbin.rows("SELECT data FROM file") == [(sent[0][1],)]
    await scene.slack.delete(scene.ann, scene.channel, thread)
    await scene.heard()
    assert await bobbin.rows("SELECT count(*) FROM file") == [(1,)]
    (file_id,) = [file["id"] for file in scene.slack.message(scene.channel, again)["files"]]
    await scene.slack.delete_file(scene.ann, file_id)
    await scene.heard()
    assert await bobbin.rows("SELECT count(*) FROM file") == [(0,)]
    await scene.say("What was it?", thread=thread)
    await scene.answered(thread, 3)
    assert files(scene.requests[-1]) == []


async def test_what_the_model_refuses_is_left_out_and_named(scene: Scene, bedrock: Bedrock) -> None:
    thread = await scene.joined()
    bedrock.faults.add("validation")
    await scene.say("say exactly: well", thread=thread, files=[("odd.pdf", PDF)])
    assert (await scene.answered(thread, 2))[-1].startswith("well")
    assert "I could not read odd.pdf: the model could not read it." in noted(scene, thread)
    assert files(scene.requests[-1]) == []
