"""The console: pages for people under /ui, by a process of its own. What they may see and do is their key's role."""
