declare -A ages=([alice]=30 [bob]=25 [carol]=41)
names=(alice bob carol)

for name in "${names[@]}"; do
  echo "$name is ${ages[$name]}"
done
echo "Number of people: ${#ages[@]}"

sorted=($(printf '%s\n' "${ages[@]}" | sort -n))
echo "Youngest: ${sorted[0]}, oldest: ${sorted[-1]}"
names+=("dave")
echo "Last: ${names[-1]^^}, all: ${names[*]}"
