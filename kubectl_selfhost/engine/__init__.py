"""How any plan is run, undone and written down; the engine knows no control plane."""
