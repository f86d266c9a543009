"""The checks that run before a pivot changes anything, a file for each subject."""
