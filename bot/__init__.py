"""Bobbin: Claude on Amazon Bedrock in a team's Slack threads. `docs/architecture.md` is the map."""

__version__ = "0.1.0"
