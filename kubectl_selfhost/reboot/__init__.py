"""What brings a node's components back after a reboot."""
