#!/bin/bash
# Prints a short report about the system.
set -euo pipefail

echo "== System report =="
echo "Kernel: $(uname -s)"
echo "User: $(id -un 2>/dev/null || id -u)"
printf 'Working directory: %s\n' "$PWD"
cpus=$(nproc)
if (( cpus >= 1 )); then
  echo "CPUs: at least one"
fi
echo "Shell: bash ${BASH_VERSINFO[0]}"
