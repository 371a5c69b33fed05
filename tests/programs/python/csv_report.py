import csv
import json
import statistics
from pathlib import Path

rows = [
    {"city": "Berlin", "year": 2021, "visitors": 5_134_000},
    {"city": "Berlin", "year": 2022, "visitors": 10_400_000},
    {"city": "Köln", "year": 2021, "visitors": 1_500_000},
    {"city": "Köln", "year": 2022, "visitors": 2_900_000},
]

with open("visitors.csv", "w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, fieldnames=["city", "year", "visitors"])
    writer.writeheader()
    writer.writerows(rows)

by_city = {}
with open("visitors.csv", newline="", encoding="utf-8") as file:
    for row in csv.DictReader(file):
        by_city.setdefault(row["city"], []).append(int(row["visitors"]))

report = {city: {"mean": statistics.mean(values), "max": max(values)} for city, values in by_city.items()}
Path("report.json").write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")
print(Path("report.json").read_text(encoding="utf-8"))
