"""The narrow waist: everything a session does is a numbered event, and every door is a reader of them."""
