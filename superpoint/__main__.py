"""`python -m superpoint` is the `superpoint` command."""

from superpoint.cli import main

if __name__ == "__main__":
    main()
