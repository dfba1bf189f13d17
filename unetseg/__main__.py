"""`python -m unetseg`."""

from unetseg.cli.commands import main

main()
