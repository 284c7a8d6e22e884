"""Importers: public formats read as scenarios. The core finds them by name (entry points `nego_env.importers`)."""
