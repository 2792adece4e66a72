"""One module a command group; each has ``register(app: typer.Typer) -> None``."""
