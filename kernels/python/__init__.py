"""The Python kernel: ipykernel on the chassis."""
