text="Größe: 5 µm — 日本 🐚"
echo "$text"
echo "$text" | tr 'a-z' 'A-Z' | sed 's/MM/mm/'
printf '%s\n' "zebra" "Äpfel" "apple" | sort | head -n 1
echo -n "$text" | wc -c
