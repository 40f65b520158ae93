"""Until there is anything to see: imports, and resuming a run."""
