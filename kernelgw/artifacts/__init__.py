"""What sessions made that is too large for an event: content by its digest, read from hostile places, kept once."""
