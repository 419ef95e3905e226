"""A Slack and a Bedrock to try Bobbin with, and to test it against. Knows nothing of the bot."""
