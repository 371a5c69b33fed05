"""Counts the words of a text and prints the most frequent ones."""

from collections import Counter
import re

text = """
The quick brown fox jumps over the lazy dog. The dog sleeps; the fox does not.
A quick dog would have been faster than the fox.
"""

words = re.findall(r"[a-z']+", text.lower())
counts = Counter(words)

print(f"Total words: {len(words)}")
print(f"Unique words: {len(counts)}")
for word, count in counts.most_common(3):
    print(f"{word:<10} {'#' * count} {count}")
