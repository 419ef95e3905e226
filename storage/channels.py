"""The transactions of what admins set for a channel."""

from bot.ports import ChannelSetting, SettingName
from storage.arrivals import clock, stamp
from storage.connector import Query, Transaction


def settings(team: str, channel: str) -> Transaction[dict[SettingName, ChannelSetting]]:
    """What was ever set for a channel, by its name."""
    rows = yield Query("channel_settings", {"team": team, "channel": channel})
    return {
        row["name"]: ChannelSetting(row["name"], row["value"], row["set_by"], row["set_ts"]) for row in rows
    }


def set_channel(team: str, channel: str, setting: ChannelSetting) -> Transaction[bool]:
    """Set it, unless a newer message did: whether it holds now."""
    ts = setting.ts
    if not ts:  # said now, hence after all that was set, whatever Slack's clock and this one say
        known = (yield from settings(team, channel)).get(setting.name)
        ts = max(stamp((yield from clock())), known.ts if known else "")
    values = {"name": setting.name, "value": setting.value, "by": setting.by, "ts": ts}
    return bool((yield Query("set_channel", {"team": team, "channel": channel, **values})))
