"""Outputs that mean no good: what they try, and what the browser says when it does not let them."""

from __future__ import annotations

from types import MappingProxyType

# Each is a function body; what it returns, or how it fails, is put into the frame for the test to read.
BREAK_OUT = MappingProxyType(
    {
        "nothing forbidden": "return 6 * 7",
        "the page's document": "return parent.document.body.innerHTML",
        "the page's token": "return parent.sessionStorage.getItem('kernelgw.token')",
        "the page's address": "return parent.location.href",
        "the page's code": "return parent.eval('1')",
        "its own element": "return frameElement.outerHTML",
        "its siblings": "return parent.frames[0].document.body.innerHTML",
        "local storage": "return localStorage.length",
        "session storage": "return sessionStorage.length",
        "cookies": "return document.cookie",
        "databases": "return indexedDB.open('x')",
        "caches": "return await caches.keys()",
        "service workers": "return await navigator.serviceWorker.register('/static/page/page.js')",
        "fetch": "return await fetch('BASE/NAME?fetch')",
        "fetch without cors": "return await fetch('BASE/NAME?fetch-no-cors', {mode: 'no-cors'})",
        "a session": "return await fetch('BASE/v1/sessions/NAME?token=TOKEN', {method: 'PUT'})",
        "a popup": "return open('BASE/NAME?popup').closed",
        "real-time connections": "return new RTCPeerConnection()",
        "the clipboard": "return await navigator.clipboard.readText()",
    }
)

# Ways to ask another host for something without leaving the document.
REQUESTS = MappingProxyType(
    {
        "xhr": "<script>{const x = new XMLHttpRequest; x.open('GET', 'TARGET'); x.send()}</script>",
        "beacon": "<script>navigator.sendBeacon('TARGET')</script>",
        "events": "<script>new EventSource('TARGET')</script>",
        "socket": "<script>new WebSocket('TARGET'.replace('http', 'ws'))</script>",
        "import": "<script>import('TARGET').catch(() => 0)</script>",
        "worker": "<script>new Worker(URL.createObjectURL(new Blob([\"fetch('TARGET')\"])))</script>",
        "script": "<script src=TARGET></script>",
        "style": "<link rel=stylesheet href=TARGET>",
        "css-import": "<style>@import 'TARGET';</style>",
        "css-picture": "<style>body { background: url(TARGET) }</style>",
        "font": "<style>@font-face { font-family: f; src: url(TARGET) } i { font-family: f }</style><i>font</i>",
        "picture": "<img src=TARGET>",
        "svg": "<svg><image href=TARGET /></svg>",
        "video": "<video src=TARGET></video>",
        "frame": "<iframe src=TARGET></iframe>",
        "object": "<object data=TARGET></object>",
        "preload": "<link rel=preload as=image href=TARGET>",
        "module": "<link rel=modulepreload href=TARGET>",
        "prefetch": "<link rel=prefetch href=TARGET>",
        "ping": "<a id=pinger href='#' ping=TARGET></a><script>pinger.click()</script>",
    }
)

# Ways to go somewhere else, each with the kind of complaint that it ends in.
NAVIGATIONS = MappingProxyType(
    {
        "top": ("<script>try { top.location = 'TARGET' } catch {}</script>", "sandbox"),
        "link to the top": ("<a id=a target=_top href=TARGET></a><script>a.click()</script>", "sandbox"),
        "new window": ("<a id=a target=_blank href=TARGET></a><script>a.click()</script>", "sandbox"),
        "form": ("<form id=f action=TARGET></form><script>f.submit()</script>", "sandbox"),
        "itself": ("<script>location = 'TARGET'</script>", "policy"),
        "refresh": ("<meta http-equiv=refresh content='0; url=TARGET'>", "policy"),
    }
)


def breaking_out(base: str, name: str, token: str) -> str:
    """HTML that ends with a JSON report of BREAK_OUT in `#report`."""
    attempts = ", ".join(f'"{label}": async () => {{ {body} }}' for label, body in BREAK_OUT.items())
    script = """
      const results = {};
      const end = new Promise((resolve) => setTimeout(resolve, 5000, "no answer"));
      const tries = Object.entries(attempts).map(async ([label, attempt]) => {
        try { results[label] = `got ${await Promise.race([attempt(), end])}`; }
        catch (error) { results[label] = `refused: ${error.name ?? error}`; }
      });
      Promise.all(tries).then(() => document.getElementById("report").textContent = JSON.stringify(results));
    """
    html = f"<pre id=report></pre><script>const attempts = {{ {attempts} }};{script}</script>"
    return html.replace("BASE", base).replace("NAME", name).replace("TOKEN", token)


def requesting(base: str, name: str) -> str:
    return "".join(html.replace("TARGET", f"{base}/{name}?{kind}") for kind, html in REQUESTS.items())
