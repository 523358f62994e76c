"""Sites with AI Power 1.x."""
