//! Configuration, telemetry, shutdown, HTTP envelope and health, for every service.
