"""Run `main` of the modules that are named; prints each value, or what it raised, as one line of JSON."""

import importlib
import json
import sys
import traceback


def value_of(name):
    try:
        return {"value": importlib.import_module(f"celery_project.{name}").main()}
    except Exception:
        return {"raised": traceback.format_exc()}


if __name__ == "__main__":
    print(json.dumps({name: value_of(name) for name in sys.argv[1:]}, default=repr))
