"""Does a site work, and if not, which step fails: phases, a verdict, forms for people and monitors."""
