"""Fast exact solvers and their compiled kernels."""
