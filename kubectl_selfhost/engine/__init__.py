"""The way in which any plan runs, is undone and is recorded. The engine knows no control plane."""
