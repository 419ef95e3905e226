"""What an answer was made of, in words."""

from bot.insight import Receipt
from bot.slack.receipts import told

FIRST = "<!date^1782770400^{date_short_pretty} {time}|2026-06-29 22:00 UTC>"
LAST = "<!date^1782770500^{date_short_pretty} {time}|2026-06-29 22:01 UTC>"
PLAIN = Receipt(7, ("U1",), 2, 1, ("U1",), "1782770400.000100", "1782770500.000100")


def test_every_part_of_it_is_told():
    receipt = Receipt(
        turn=7,
        askers=("U1",),
        messages=40,
        answers=2,
        authors=("U1", "U2"),
        first="1782770400.000100",
        last="1782770500.000100",
        files=(("a&b.pdf", ""), ("plan.key", "kind")),
        condensed=30,
        models=("us.anthropic.claude-sonnet-5-5",),
        input=1000,
        cache_read=20_000,
        cache_write=500,
        output=321,
        micro_usd=12_300,
        estimated=True,
        requests=("r1", "r2", "r3", "r4"),
    )
    assert told(receipt, ["Ann & Lee", "Ben\n*Cost:*"]).splitlines() == [
        f"*For this answer I read 42 messages* from {FIRST} to {LAST}, 2 earlier answers of mine among them.",
        "*By:* Ann &amp; Lee, Ben *Cost:*",
        "*Files:* a&amp;b.pdf",
        "*Files that I did not read:* plan.key (I can't read this kind of file)",
        "*Condensed:* the oldest 30 of them, which I read as a summary.",
        "*Tokens:* 21,500 read, 20,000 from the cache; 321 written.",
        "*Cost:* about $0.01, by `us.anthropic.claude-sonnet-5-5`.",
        "*Request:* `r2`, `r3`, `r4`",
        "_Answer T7. What was deleted since is left out._",
    ]


def test_what_is_not_there_is_not_spoken_of():
    assert told(PLAIN, ["Ann"]).splitlines()[1:] == [
        "*By:* Ann",
        "No model was asked.",
        "_Answer T7. What was deleted since is left out._",
    ]
    gone = Receipt(7, (), 0, 0, (), "", "", condensed=None)
    assert told(gone, []).startswith(
        "Nothing of what I read for this answer is kept any more.\n*Condensed:* the older"
    )


def test_of_many_people_and_files_some_are_named():
    many = Receipt(7, (), 99, 0, (), "1.0", "2.0", files=tuple((f"f{n}", "") for n in range(30)))
    said = told(many, [f"P{n}" for n in range(30)])
    assert "P19 and 10 more" in said
    assert "f19 and 10 more" in said
    assert len(said) < 3000
