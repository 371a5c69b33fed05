import sys

print("checking…")
if len([]) == 0:
    print("nothing to do", file=sys.stderr)
    sys.exit(2)
print("never printed")
