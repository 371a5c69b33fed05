#!/usr/bin/env bash
# Brings a fresh Debian machine to where .venv/bin/kernelgw can serve, or the tests can run; quick when it is there.
#   scripts/setup.sh serve|test
# Every part remembers, in a stamp, what it was made from, and is made again only when that changed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022

readonly venv=$PWD/.venv
readonly python=$venv/bin/python
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail() {
  printf '%s\n' "$@" >&2
  exit 2
}

# step LABEL COMMAND…: one line with the time it took; what the command says is shown only when it fails.
step() {
  local label=$1 start=$SECONDS status=0 ticker=
  shift
  printf '%s … ' "$label"
  if [[ -t 1 ]]; then
    tick "$label" &
    ticker=$!
  fi
  "$@" </dev/null >"$log" 2>&1 || status=$?
  if [[ $ticker ]]; then
    kill "$ticker"
    wait "$ticker" 2>/dev/null || true
    printf '\r%s … ' "$label"
  fi
  if ((status)); then
    printf 'failed\n\n'
    tail -n 25 "$log" >&2
    explain >&2
    exit 2
  fi
  printf '%ss\n' $((SECONDS - start))
}

# In the background, so that Ctrl-C reaches the command itself. Ends with its parent, however that ended.
tick() {
  local start=$SECONDS
  while kill -0 $$ 2>/dev/null; do
    printf '\r%s … %ss ' "$1" $((SECONDS - start))
    sleep 0.5
  done
}

explain() {
  if grep -qiE 'connection|resolve|timed out|no matching distribution|could not find a version|certificate|proxy' "$log"; then
    printf '\nThe packages could not be fetched. Is there a network? pip and apt use whatever index and proxy this machine\n'
    printf 'is set up with (pip config list). When it works again, the same command goes on from here.\n'
  elif grep -qi 'no space left' "$log"; then
    printf '\nThe disk is full: about 1.5 GB are needed here and in the temporary folder.\n'
  fi
}

# System packages ------------------------------------------------------------------------------------------------

# The packages of which the command is not there; arguments are COMMAND=PACKAGE.
missing() {
  local pair
  for pair; do
    command -v "${pair%%=*}" >/dev/null || printf '%s ' "${pair#*=}"
  done
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update &&
    apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

need() {
  (($#)) || return 0
  command -v apt-get >/dev/null || fail "These are missing: $*" "Install them with this system's package manager, then try again."
  ((EUID == 0)) || fail "These are missing: $*" "Install them, then try again:" "  sudo apt-get update && sudo apt-get install -y $*"
  step "installing $*" apt_install "$@"
}

system_packages() {
  local wanted=()
  [[ ${KERNELGW_ISOLATION:-} == none ]] || wanted+=(bwrap=bubblewrap)
  [[ $1 == test ]] && wanted+=(bwrap=bubblewrap chromium=chromium)
  # Only root builds and runs the container, and has gateways that use gVisor; the tests of others skip both.
  [[ $1 == test ]] && ((EUID == 0)) && wanted+=(podman=podman runc=runc debootstrap=debootstrap runsc=runsc)
  # shellcheck disable=SC2046 # one word a package
  need $({ missing "${wanted[@]}"; [[ $1 != test ]] || missing_in_system; } | tr ' ' '\n' | sort -u)
}

# What tests need of the system itself, not of whatever comes first in PATH: libseccomp's own binding, with which the
# system call filters are built again, a Node and an npm that sessions can reach, and PostgreSQL as another store.
missing_in_system() {
  /usr/bin/python3 -I -c 'import seccomp' 2>/dev/null || printf 'python3-seccomp '
  [[ -x /usr/bin/node || -x /usr/local/bin/node ]] || printf 'nodejs '
  [[ -x /usr/bin/npm || -x /usr/local/bin/npm ]] || printf 'npm '
  # Debian keeps its server out of PATH. Others go without: the tests that want it say so.
  ((EUID)) || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || printf 'postgresql '
}

# Python ---------------------------------------------------------------------------------------------------------

new_enough() { "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    new_enough "$candidate" && command -v "$candidate" && return
  done
  if [[ -n ${PYTHON:-} ]]; then
    fail "PYTHON=$PYTHON is not a working Python 3.11 or newer."
  fi
  fail "No Python 3.11 or newer was found. Install one, or name it: make setup PYTHON=/path/to/python3"
}

# Debian keeps the inside of venv in a package of its own.
ensure_venv() {
  "$1" -I -c 'import ensurepip, venv' 2>/dev/null && return
  need "$("$1" -I -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
}

# Stamps ---------------------------------------------------------------------------------------------------------

is_made() { [[ -f $venv/$1.stamp && $(<"$venv/$1.stamp") == "$2" ]]; }
made() { printf '%s\n' "$2" >"$venv/$1.stamp"; }
digest() { { pwd; "$python" -V; cat "$@"; } | sha256sum | cut -d' ' -f1; }

# The venv -------------------------------------------------------------------------------------------------------

make_venv() {
  [[ -z ${PYTHON:-} ]] && is_made venv "$PWD" && "$python" -I -c '' 2>/dev/null && return
  local base
  base=$(find_python)
  local wanted
  wanted=$("$base" -I -c 'import sys; print(sys.implementation.cache_tag, sys.base_prefix)')
  is_made venv "$PWD" && [[ $("$python" -I -c 'import sys; print(sys.implementation.cache_tag, sys.base_prefix)' 2>/dev/null) == "$wanted" ]] && return
  ensure_venv "$base"
  step "making .venv with $("$base" -V)" "$base" -I -m venv --clear "$venv"
  made venv "$PWD"
}

pip() { "$python" -I -m pip --disable-pip-version-check --no-input "$@"; }

install_packages() {
  local now
  now=$(digest requirements/dev.txt)
  is_made packages "$now" && return
  step 'installing the gateway and its tools' pip install --compile --progress-bar=off --require-hashes -r requirements/dev.txt
  made packages "$now"
}

install_project() {
  local now
  now=$(digest pyproject.toml kernelgw/__init__.py)
  is_made project "$now" && return
  step 'installing kernelgw itself' pip install --no-deps --no-build-isolation --editable .
  made project "$now"
}

build_environment() {
  "$python" -I -c 'from kernelgw import environments; environments.find("default")' 2>/dev/null && return
  step 'building environment default, with the data packages' "$python" -I -m kernelgw.environments build default
}

main() {
  system_packages "${1:-serve}"
  make_venv
  install_packages
  install_project
  build_environment
}

main "$@"
