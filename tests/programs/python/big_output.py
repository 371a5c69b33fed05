for i in range(100_000):
    print(f"line {i:06d}: the quick brown fox jumps over the lazy dog")
print("the end")
