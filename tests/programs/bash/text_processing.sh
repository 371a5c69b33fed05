log='2024-01-15 10:00:01 INFO start
2024-01-15 10:00:05 ERROR disk full
2024-01-15 10:01:00 WARN slow
2024-01-15 10:02:00 ERROR timeout'

echo "Errors: $(grep -c ERROR <<< "$log")"
echo "$log" | sed -n 's/.*ERROR \(.*\)/-> \1/p'
echo "$log" | cut -d' ' -f3 | sort | uniq -c | sort -rn | head -n 1 | xargs
[[ $log =~ ([0-9]{2}:[0-9]{2}:[0-9]{2}) ]] && echo "First at ${BASH_REMATCH[1]}"
