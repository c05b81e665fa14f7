"""Who makes a call: this process, or a worker of a Dask cluster that computes as this process does."""
