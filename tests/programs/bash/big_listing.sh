seq 1 200000 | while read -r first; do
  break
done
seq 1 200000
echo "finished"
