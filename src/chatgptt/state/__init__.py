"""Files on disk: whose they are, which links are followed, and how a file is replaced in one step."""
