"""What the commands write: reports, the terminal, and values quoted for other languages."""
