import numpy as np
import pandas as pd

rng = np.random.default_rng(42)
df = pd.DataFrame(
    {
        "product": ["apple", "banana", "cherry"] * 4,
        "quarter": np.repeat(["Q1", "Q2", "Q3", "Q4"], 3),
        "sales": np.arange(12) * 10,
    }
)
df["noise"] = rng.normal(size=len(df)).round(2)

pivot = df.pivot_table(index="product", columns="quarter", values="sales", aggfunc="sum")
print("Total sales:", df["sales"].sum())
print("Best product:", df.groupby("product")["sales"].sum().idxmax())
pivot
