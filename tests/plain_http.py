"""HTTP requests to servers without TLS.

httpx loads all certificate authorities for each call of its own functions: 60 ms of CPU time.
"""

from functools import partial
from typing import Final

import httpx

get: Final = partial(httpx.get, verify=False)
options: Final = partial(httpx.options, verify=False)
post: Final = partial(httpx.post, verify=False)
request: Final = partial(httpx.request, verify=False)
