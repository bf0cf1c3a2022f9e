"""The page that a person sees after coming back from the provider: text alone, in Covey's look, under a strict policy. Pure."""

import base64
import hashlib
import html

STYLE = """
:root { --ink: #16202a; --soft: #556372; --paper: #f6f7f5; --accent: #14735c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edeb; --soft: #9fb0ac; --paper: #0f1615; --accent: #5fd0b0; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, sans-serif; }
main { max-width: 26rem; padding: 2rem 1rem; overflow-wrap: anywhere; }
.mark { display: flex; gap: .4rem; align-items: flex-end; height: 1.6rem; }
.mark i { width: .8rem; height: .8rem; border-radius: 50%; background: var(--accent); }
.mark i:nth-child(2) { transform: translateY(-.6rem); }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .8rem 0 .4rem; }
p { color: var(--soft); margin: 0; }
"""
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} – Covey</title>
<style>{style}</style>
</head>
<body>
<main>
<div class="mark" aria-hidden="true"><i></i><i></i><i></i></div>
<h1>{title}</h1>
<p>{text}</p>
</main>
</body>
</html>
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def page(title: str, text: str) -> str:
    """A whole page; both are plain text."""
    return TEMPLATE.format(title=html.escape(title), text=html.escape(text), style=STYLE)
