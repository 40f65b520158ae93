"""Side by side with what people use now: both alternate in one run, and every figure lands in a dated report."""
