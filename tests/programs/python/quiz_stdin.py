import sys

name = input("What is your name? ")
numbers = [int(part) for part in input("Numbers: ").split()]
rest = sys.stdin.read().splitlines()
print(f"Hello, {name}!")
print("Sum:", sum(numbers))
print("Lines left:", rest)
try:
    input()
except EOFError:
    print("No more input")
