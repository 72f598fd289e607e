"""The Hugging Face Hub: asking it, downloading from it, and the cache layout that its library shares."""
