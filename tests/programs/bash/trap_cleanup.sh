tmp=$(mktemp -d)
cleanup() { rm -rf "$tmp"; echo "cleaned up"; }

(
  trap cleanup EXIT
  echo "data" > "$tmp/file"
  cat "$tmp/file"
)
[ -e "$tmp" ] || echo "temporary folder is gone"
