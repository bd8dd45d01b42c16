"""Parameters for Mobula's Rust notebooks in papermill."""

# Papermill imports `mobula_papermill.engine` while it is imported itself. Whoever imports a module of this package first would meet it half made.
import papermill  # noqa: F401
