"""Questions to what runs on this machine, past any proxy, each over a connection of its own unless of a ``client``.

httpx reads all authorities' certificates for each client (.03 s of the processor), and a service here has none.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

client = partial(httpx.Client, trust_env=False, verify=_NO_TLS)
request = partial(httpx.request, trust_env=False, verify=_NO_TLS)
get, post = partial(request, "GET"), partial(request, "POST")
