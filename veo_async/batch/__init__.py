"""Lists of prompts: reads a list, runs it over one session, and writes results and a gallery."""
