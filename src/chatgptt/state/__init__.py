"""What is kept on disk: the folder, its owner, locks and atomic files."""
