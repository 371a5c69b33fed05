read -r -p "Your name: " name
echo "Hello, ${name:-stranger}!"
count=0
while IFS= read -r line; do
  count=$((count + 1))
  echo "$count: $line"
done
echo "$count lines"
