"""From text to blocks: how fast, and in how much memory."""
