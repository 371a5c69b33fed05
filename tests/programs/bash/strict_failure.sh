check() {
  echo "checking $1"
  [ -f "$1" ] || { echo "error: $1 is missing" >&2; return 3; }
}

check config.ini
