"""Where logs can be sent: for each driver its options, its messages, and how it is reached."""
