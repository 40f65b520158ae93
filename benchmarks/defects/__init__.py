"""Defects of the field's best-known trainer, each a row that is run on it and on lmkit by one script.

    python -m benchmarks.defects [row ...]

A row is a module with CLAIM, what a correct trainer does, and two functions, `trainer` and `lmkit`, that each return a
Finding.  All models are tiny and all text is made up, so that a row takes seconds; the defects do not depend on size.
"""
