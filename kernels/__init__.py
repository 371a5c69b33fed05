"""The kernel's side of kernelgw: fork server, sealing, chassis and drivers.

Runs inside an environment's own interpreter and never imports kernelgw. Loaded under the private name
`kernelgw_kernels`, because a top-level `kernels` belongs to another package that a session may install.
"""
