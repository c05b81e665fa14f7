"""Questions to what runs on this machine, past any proxy, each over a connection of its own unless of a ``client``;
none reads the certificates of the whole world (``NO_TLS``).
"""

from __future__ import annotations

from functools import partial

import httpx

from lethe.serving.server import NO_TLS

client = partial(httpx.Client, trust_env=False, verify=NO_TLS)
request = partial(httpx.request, trust_env=False, verify=NO_TLS)
get, post = partial(request, "GET"), partial(request, "POST")
