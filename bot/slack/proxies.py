"""By which proxy Slack is reached: HTTPS_PROXY and its kin name one, NO_PROXY the hosts that need none.

Slack's SDK looks at the first alone.
"""

from urllib.request import proxy_bypass

from slack_sdk.proxy_env_variable_loader import load_http_proxy_from_env
from yarl import URL


def proxy_for(url: str) -> str | None:
    """Return the address of the proxy for this one (http, https, ws or wss); None where it needs none."""
    proxy = load_http_proxy_from_env()
    return None if proxy is None or proxy_bypass(URL(url).host or "") else proxy
