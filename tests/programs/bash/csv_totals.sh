cat > sales.csv <<'CSV'
region,amount
north,100
south,250
north,50
east,75
CSV

echo "Totals by region:"
tail -n +2 sales.csv | awk -F, '{ total[$1] += $2 } END { for (r in total) printf "%-6s %d\n", r, total[r] }' | sort
echo "Rows: $(($(wc -l < sales.csv) - 1))"
