"""`python -m chatgptt` is the `chatgptt` command."""

from chatgptt.cli import run

if __name__ == "__main__":
    run()
