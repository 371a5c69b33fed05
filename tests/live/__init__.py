"""The main path, for real: a gateway process, forked kernels in their sandboxes, HTTP. Nothing is mocked."""
