"""The way out for sessions that have one: rules, a proxy in a process of its own, and the gateway's side of it."""
