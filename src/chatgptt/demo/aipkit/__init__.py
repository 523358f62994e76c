"""Sites with AI Power 2.x (AIPKit)."""
