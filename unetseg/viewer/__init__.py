"""napari: what `unetseg view` shows, and the plugin."""
