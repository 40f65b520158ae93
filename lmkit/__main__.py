"""`python -m lmkit` is the command, and what torchrun starts."""

from lmkit.cli import main

if __name__ == "__main__":
    main()
