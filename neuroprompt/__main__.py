"""`python -m neuroprompt` is the command `neuroprompt`."""

from neuroprompt.cli import main

if __name__ == "__main__":
    main()
