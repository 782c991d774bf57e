"""`python -m gateway` is `index-gateway`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
