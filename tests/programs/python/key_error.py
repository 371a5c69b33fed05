def average_age(people):
    total = 0
    for person in people:
        total += person["age"]
    return total / len(people)


people = [{"name": "Ana", "age": 31}, {"name": "Bo"}]
print("computing…")
print(average_age(people))
