"""Our own HTTP door. It only translates in and out."""
