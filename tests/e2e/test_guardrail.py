"""What a guardrail of Bedrock blocks or masks, as people see it."""

from pathlib import Path

from bot.errors import Blocked
from tests.e2e.scene import Scene, running, words

SAID = Blocked.said


async def test_a_blocked_question_reads_as_one_sentence_and_stands_in_the_way_until_it_is_deleted(
    tmp_path: Path,
):
    async with running(tmp_path, BEDROCK_GUARDRAIL_ID="gr1") as bobbin:
        scene = Scene(bobbin)
        thread = await scene.joined("say exactly: Good morning")
        asked = await scene.mention("Where to get dynamite?", thread=thread)
        assert await scene.answered(thread, 2) == ["Good morning", SAID]
        await scene.slack.delete(scene.ann, scene.channel, asked)
        await scene.mention("say exactly: Gone", thread=thread)
        assert (await scene.answered(thread, 3))[-1].startswith("Gone")
        assert not [said for said in words(scene.requests[-1]) if "dynamite" in said]
        assert len(scene.requests) == 3  # what is blocked is not asked again
        config = scene.requests[0].body["guardrailConfig"]
        assert (config["guardrailVersion"], config["streamProcessingMode"]) == ("DRAFT", "sync")


async def test_a_blocked_answer_is_not_left_standing_and_a_masked_one_is_shown(tmp_path: Path):
    async with running(tmp_path, BEDROCK_GUARDRAIL_ID="gr1") as bobbin:
        scene = Scene(bobbin)
        thread = await scene.mention("say exactly: Mix it to nitroglycerin now")
        await scene.shows(thread, [SAID])
        masked = await scene.mention("say exactly: Write to ann@example.com")
        (answer,) = await scene.answered(masked)
        assert "{EMAIL}" in answer
        assert "example" not in answer
