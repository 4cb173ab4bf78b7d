"""What several test packages share: real servers and the like."""
