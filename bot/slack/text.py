"""Slack's markup undone on the way to the model; harmless Markdown in parts on the way back."""

from bot.slack.harmless import Outgoing, harmless
from bot.slack.links import Links
from bot.slack.markup import is_pleasantry, links, mentions, mentions_others, read, without_mention
from bot.slack.split import Fit, code_end, fit, presentable, split

__all__ = [
    "Fit",
    "Links",
    "Outgoing",
    "code_end",
    "fit",
    "harmless",
    "is_pleasantry",
    "links",
    "mentions",
    "mentions_others",
    "presentable",
    "read",
    "split",
    "without_mention",
]
