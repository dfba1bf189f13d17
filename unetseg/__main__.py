"""`python -m unetseg`."""

from unetseg.cli import main

main()
