"""Everything that people open, press, choose and type besides messages, and who takes it in: one table."""

from collections.abc import Callable, Coroutine
from typing import Any

from bot.channels import Channels
from bot.erasing import Erasing
from bot.policy import Rules
from bot.ports import Store
from bot.slack.about import About, kept_for
from bot.slack.again import Again
from bot.slack.agent import Agent
from bot.slack.asides import Asides
from bot.slack.commands import Commands
from bot.slack.connection import Slack
from bot.slack.feedback import Feedback
from bot.slack.forgetting import Forgetting
from bot.slack.home import Home
from bot.slack.inquiries import Inquiries
from bot.slack.listeners import Handlers
from bot.slack.shortcuts import Shortcuts
from bot.slack.workspace import SlackWorkspace


class Desk:
    """`wake` tells that something may be there to do; `later` does something after the ack."""

    def __init__(
        self,
        slack: Slack,
        store: Store,
        workspace: SlackWorkspace,
        channels: Channels,
        rules: Rules,
        facts: About,
        inquiries: Inquiries,
        erasing: Erasing,
        *,
        wake: Callable[[], None],
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        api, team = slack.api, slack.me.team
        again = Again(store, api, team, wake=wake, later=later)
        agent = Agent(api, store, team, kept_for(facts.retention_days))
        asides = Asides(api, store, slack.me, rules, wake)
        self.offer = again.offer
        home = Home(api, store, team, facts, messages=agent.opened, later=later)
        forgetting = Forgetting(erasing, api, slack.me, done=home.publish, later=later)
        self.handlers: Handlers = {
            **home.handlers,
            **forgetting.handlers,
            **Commands(inquiries, channels, team, workspace.is_admin, forgetting.ask_person).handlers,
            **Shortcuts(store, slack.me, asides, later=later).handlers,
            **again.handlers,
            **Feedback(store, api, workspace, team, later=later).handlers,
        }
