#!/usr/bin/env bash
factorial() {
  local n=$1
  if [ "$n" -le 1 ]; then
    echo 1
  else
    echo $(( n * $(factorial $((n - 1))) ))
  fi
}

is_even() { (( $1 % 2 == 0 )); }

for n in 1 5 10; do
  echo "$n! = $(factorial $n)"
done
is_even 4 && echo "4 is even"
is_even 7 || echo "7 is odd"
