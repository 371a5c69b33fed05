import matplotlib.pyplot as plt
import numpy as np

x = np.linspace(0, 2 * np.pi, 200)
fig, axes = plt.subplots(1, 2, figsize=(8, 3))
axes[0].plot(x, np.sin(x), label="sin")
axes[0].plot(x, np.cos(x), label="cos")
axes[0].legend()
axes[0].set_title("Waves")
axes[1].bar(["a", "b", "c"], [3, 7, 5], color="tab:orange")
axes[1].set_title("Bars")
plt.tight_layout()
plt.savefig("waves.png", dpi=80)
plt.show()
print("plotted", len(x), "points")
