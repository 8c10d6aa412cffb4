"""Result backends, under the package that Celery projects import their base by. Ours are in results/ and are chosen by their URL."""
