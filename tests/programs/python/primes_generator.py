from itertools import islice


def primes():
    """Sieve of Eratosthenes, without an end."""
    composites = {}
    candidate = 2
    while True:
        if candidate not in composites:
            yield candidate
            composites[candidate * candidate] = [candidate]
        else:
            for prime in composites.pop(candidate):
                composites.setdefault(candidate + prime, []).append(prime)
        candidate += 1


print(list(islice(primes(), 15)))
print("The 2000th prime is", next(islice(primes(), 1999, None)))
