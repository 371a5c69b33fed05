if ! grep -q root /nonexistent/file 2>/dev/null; then
  echo "not found, as expected"
fi
false
echo "status of false: $?"
(exit 42)
echo "status of the subshell: $?"
true
