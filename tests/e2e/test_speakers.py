"""Who speaks: a name once shown to the model stays as it was sent, and equal names are told apart."""

from tests.e2e.conftest import Bobbin
from tests.e2e.scene import Scene, read


async def test_a_changed_name_does_not_rewrite_what_was_sent(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    thread = await scene.joined()
    scene.slack.workspace.people[scene.ann].display = "Ann Lee-Roe"
    await bobbin.stop()
    await bobbin.start()  # nothing but the store remembers her
    await scene.say("And on?", thread=thread)
    await scene.answered(thread, 2)
    before, after = (asked.body["messages"] for asked in scene.requests)
    assert [block["text"] for block in before[0]["content"] if "text" in block] == [
        block["text"] for block in after[0]["content"] if "text" in block
    ]
    assert {who for who, _ in read(scene.requests[-1])} == {"Ann Lee", ""}


async def test_equal_names_are_told_apart_in_the_order_in_which_they_speak(bobbin: Bobbin) -> None:
    scene = Scene(bobbin)
    other = scene.slack.add_person("ann2", display="Ann Lee")
    scene.slack.workspace.channels[scene.channel].members.append(other)
    thread = await scene.joined()
    await scene.mention("I am another one", by=other, thread=thread)
    await scene.answered(thread, 2)
    assert [who for who, _ in read(scene.requests[-1])] == ["Ann Lee", "", "Ann Lee (2)"]
