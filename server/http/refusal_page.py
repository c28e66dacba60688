"""Show a page to a browser on another machine that opens a server without keys, in place of JSON."""

import base64
import hashlib
import html
from collections.abc import Mapping
from typing import Final

from starlette.responses import HTMLResponse

STYLE: Final = (
    "body{max-width:44rem;margin:3rem auto;padding:0 1rem;font:100%/1.6 system-ui,sans-serif}"
    "html{color-scheme:light dark}"
    "pre{padding:1rem;overflow-x:auto;border:1px solid;border-radius:8px}"
)
HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{HASH}'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "vary": "accept",
    "x-content-type-options": "nosniff",
}
PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Speech to text: not open to other machines</title><style>{style}</style></head><body><main>
<h1>This server serves only its own machine</h1>
<p>{message}</p>
<p><strong>On the machine where it runs</strong>, open <code>http://localhost:{port}/</code>.</p>
<p><strong>To use it from here</strong>, its operator makes a key and starts it with an open address:</p>
<pre><code>./entrypoint.sh keys new YOUR-NAME --file keys.json
API_KEYS_FILE=keys.json HOST=0.0.0.0 ./entrypoint.sh</code></pre>
<p>The page then asks you for the key. Browsers allow the microphone only over HTTPS:
see docs/security.md.</p>
</main></body></html>
"""


def wants_page(scope: Mapping[str, object], headers: Mapping[bytes, str]) -> bool:
    """Return whether a request is that of a person who opens the page in a browser."""
    is_page = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
    return is_page and "text/html" in headers.get(b"accept", "")


def refusal_page(message: str, status: int, port: int | None) -> HTMLResponse:
    """Return a page that says why the server refuses, and what to do.

    port: of the server; None for a Unix socket
    """
    content = PAGE.format(style=STYLE, message=html.escape(message), port=port or 5001)
    return HTMLResponse(content, status, HEADERS)
