"""What the server embeds of the library."""
