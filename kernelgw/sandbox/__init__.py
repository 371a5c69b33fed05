"""What a session may see and touch, as data, and the ways to enforce it."""
