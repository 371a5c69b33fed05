#!/usr/bin/env bash
# A tour of the HTTP API with nothing but curl: each call is shown as one would type it, then its answer.
#   KERNELGW_TOKEN=... examples/quickstart.sh [PICTURE.png]
set -euo pipefail

url=${KERNELGW_URL:-http://127.0.0.1:8000}
url=${url%/}
token=${KERNELGW_TOKEN:-}
picture=${1:-quickstart.png}
session=$url/v1/sessions/quickstart-$$
run=$session/executions
stream=(-N -H 'Accept: text/event-stream')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

say() {
  echo
  printf '# %s\n' "$@"
}

show() {
  local word line="\$ curl -H 'Authorization: Bearer …'"
  for word; do
    [[ $word == *[!A-Za-z0-9_./:=-]* ]] && word="'${word//\'/\'\\\'\'}'"
    line+=" $word"
  done
  printf '%s\n' "$line"
}

# The token goes in by standard input, since arguments can be read by everybody on the machine.
send() { curl -sS --fail-with-body --max-time 120 -K - "$@" <<<"header = \"Authorization: Bearer $token\""; }

call() {
  show "$@"
  send -w '\n(HTTP %{http_code})\n' "$@"
}

# cell CODE: sets `body`, the options that send this code as JSON.
cell() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  body=(-H 'Content-Type: application/json' -d "{\"code\": \"${text//$'\n'/\\n}\"}")
}

shorten() { sed -E 's/"traceback":\[("([^"\\]|\\.)*",?)*\]/"traceback":["…"]/g'; }

check() {
  curl -sS --max-time 10 -o /dev/null "$url/healthz" 2>"$work/why" || fail \
    "No gateway answers at $url ($(<"$work/why"))." \
    "Start one:                   KERNELGW_TOKEN=secret kernelgw serve" \
    "If it is somewhere else:     export KERNELGW_URL=http://host:port"
  send "$url/v1/sessions" >"$work/answer" 2>/dev/null || fail \
    "The gateway at $url does not let us in: $(<"$work/answer")" \
    "Set KERNELGW_TOKEN to the token that it was given, or printed, when it started."
}

clean_up() {
  send -X DELETE "$session" >/dev/null 2>&1 || true
  rm -rf "$work"
}

wait_for() {
  local try
  for ((try = 0; try < 300; try++)); do
    grep -qs "$1" "$2" && return
    sleep 0.1
  done
  fail "The event $1 did not come within 30 seconds."
}

check
trap clean_up EXIT

say 'A session is one chat, and the caller picks its id. 201: it is new (200: it was there).'
call "$session" -X PUT

say 'Run a cell. What it prints and the value of its last line are the outputs, in order.'
cell 'import numpy as np
squares = np.arange(10) ** 2
print("ten squares")
squares.sum()'
call "$run" "${body[@]}"

say 'A follow-up uses the variable: behind the session, a live kernel keeps it.'
cell 'squares[-3:]'
call "$run" "${body[@]}"

say 'The same call, asked to stream: every event comes the moment it happens.'
cell 'import time
for step in range(3):
    print(f"step {step}")
    time.sleep(0.3)'
call "$run" "${stream[@]}" "${body[@]}"

say 'A picture is an output too: base64 under its MIME type, beside text for readers that show none.'
cell 'import matplotlib.pyplot as plt
plt.plot(squares, "o-")
plt.title("squares")
plt.show()'
show "$run" "${body[@]}"
send "$run" "${body[@]}" >"$work/plot.json"
python3 -c '
import base64, json, sys

outputs = json.load(open(sys.argv[1]))["outputs"]
data = next(output["data"] for output in outputs if "image/png" in output.get("data", {}))
with open(sys.argv[2], "wb") as file:
    file.write(base64.b64decode(data["image/png"]))
print(json.dumps({kind: value if len(value) < 60 else value[:40] + "…" for kind, value in data.items()},
                 ensure_ascii=False))
' "$work/plot.json" "$picture"
echo "(its data; the picture is now in $picture, $(wc -c <"$picture") bytes)"

say 'Code that raises is an answer like any other: HTTP 200, status "failed", the error as data.'
cell 'squares[10]'
call "$run" "${body[@]}" | shorten

say 'A loop without an end, streamed into a file meanwhile ...'
cell 'while True:
    pass'
show "$run" "${stream[@]}" "${body[@]}"
send "$run" "${stream[@]}" "${body[@]}" >"$work/loop" &
wait_for execution.started "$work/loop"
say '... is interrupted. 202: the kernel has been told.'
call "$session/interrupt" -X POST
wait $!
say 'Every stream ends with one execution.completed, which says how it ended.'
tail -n 4 "$work/loop" | shorten

say 'The kernel is unharmed, and so are the variables.'
cell 'len(squares)'
call "$run" "${body[@]}"

say 'The end: kernel and files of the session go. 204: done.'
call "$session" -X DELETE

say 'What is wrong with a call, not with code, has an HTTP status of its own, and a hint.'
call "$session" 2>&1 || true
