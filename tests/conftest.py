from hypothesis import HealthCheck, settings

settings.register_profile("no timed assertions", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no timed assertions")
