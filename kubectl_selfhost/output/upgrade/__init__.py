"""What a person, or a program, reads of an upgrade before it begins."""
