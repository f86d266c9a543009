"""The guardian and the recovery copies, which bring a node's components back after a reboot."""
