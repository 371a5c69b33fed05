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
        "a session": "return await fetch('BASE/v1/sessions/NAME?token=TOKEN', {method: 'PUT', body: '{}'})",
        "a popup": "return open('BASE/NAME?popup').closed",
        "real-time connections": "return new RTCPeerConnection()",
        "the clipboard": "return await navigator.clipboard.readText()",
        "a place": "return await new Promise((y, n) => navigator.geolocation.getCurrentPosition(y, n))",
    }
)

# Ways to ask another host for something without leaving the document.
REQUESTS = MappingProxyType(
    {
        "xhr": "<script>{const x = new XMLHttpRequest; x.open('GET', 'URL'); x.send()}</script>",
        "beacon": "<script>navigator.sendBeacon('URL')</script>",
        "events": "<script>new EventSource('URL')</script>",
        "socket": "<script>new WebSocket('URL'.replace('http', 'ws'))</script>",
        "import": "<script>import('URL').catch(() => 0)</script>",
        "worker": "<script>new Worker(window.URL.createObjectURL(new Blob([\"fetch('URL')\"])))</script>",
        "script": "<script src=URL></script>",
        "style": "<link rel=stylesheet href=URL>",
        "css-import": "<style>@import 'URL';</style>",
        "css-picture": "<style>body { background: url(URL) }</style>",
        "font": "<style>@font-face { font-family: f; src: url(URL) } i { font-family: f }</style><i>font</i>",
        "picture": "<img src=URL>",
        "svg": "<svg><image href=URL /></svg>",
        "video": "<video src=URL></video>",
        "frame": "<iframe src=URL></iframe>",
        "object": "<object data=URL></object>",
        "preload": "<link rel=preload as=image href=URL>",
        "module": "<link rel=modulepreload href=URL>",
        "prefetch": "<link rel=prefetch href=URL>",
        "preconnect": "<link rel=preconnect href=URL>",
        "ping": "<a id=pinger href='#' ping=URL></a><script>pinger.click()</script>",
    }
)
# No request is made by it; the number of connections tells.
SILENT = frozenset({"preconnect"})

# Ways to go somewhere else, each with the kind of complaint that it ends in.
NAVIGATIONS = MappingProxyType(
    {
        "top": ("<script>try { top.location = 'URL' } catch {}</script>", "sandbox"),
        "link to the top": ("<a id=a target=_top href=URL></a><script>a.click()</script>", "sandbox"),
        "new window": ("<a id=a target=_blank href=URL></a><script>a.click()</script>", "sandbox"),
        "form": ("<form id=f action=URL></form><script>f.submit()</script>", "sandbox"),
        "itself": ("<script>location = 'URL'</script>", "policy"),
        "refresh": ("<meta http-equiv=refresh content='0; url=URL'>", "policy"),
    }
)


def breaking_out(base: str, name: str, token: str) -> str:
    """HTML that ends with a JSON report of BREAK_OUT in `#report`."""
    attempts = ", ".join(f'"{label}": async () => {{ {body} }}' for label, body in BREAK_OUT.items())
    script = """
      const results = {};
      const end = new Promise((_, fail) => setTimeout(fail, 5000, new Error("no answer")));
      const tries = Object.entries(attempts).map(async ([label, attempt]) => {
        try { results[label] = `got ${await Promise.race([attempt(), end])}`; }
        catch (error) { results[label] = `refused: ${error.name ?? error}`; }
      });
      Promise.all(tries).then(() => document.getElementById("report").textContent = JSON.stringify(results));
    """
    html = f"<pre id=report></pre><script>const attempts = {{ {attempts} }};{script}</script>"
    return html.replace("BASE", base).replace("NAME", name).replace("TOKEN", token)


def requesting(base: str, name: str) -> str:
    return "".join(html.replace("URL", f"{base}/{name}?{kind}") for kind, html in REQUESTS.items())
