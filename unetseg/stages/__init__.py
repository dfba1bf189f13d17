"""One file a subcommand: read artefacts, call arrays or network, write artefacts."""
