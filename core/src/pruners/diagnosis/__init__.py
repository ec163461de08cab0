"""What is wrong with installed plugins, why, and what to type; nothing is imported that listing does not."""
