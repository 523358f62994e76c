from hypothesis import settings

settings.register_profile("protocols", deadline=None, max_examples=60, database=None, derandomize=True)
settings.load_profile("protocols")
