"""Our kernels for any Jupyter client, without a gateway: a kernel provisioner of `jupyter_client`'s."""
