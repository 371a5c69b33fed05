python3 - <<'PY'
import json

data = {"numbers": [n ** 2 for n in range(5)]}
print(json.dumps(data))
PY
result=$(python3 -c 'print(6 * 7)')
echo "The answer is $result"
