"""History in a database: its tables, and the gateway's side of the process that writes and reads them."""
