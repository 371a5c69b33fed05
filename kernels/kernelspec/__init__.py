"""The kernelspec kernel."""
