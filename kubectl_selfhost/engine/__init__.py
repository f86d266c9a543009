"""How any plan is run, undone and written down; it knows no control plane."""
