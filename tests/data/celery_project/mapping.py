"""One task, many arguments."""

from celery_project.arithmetic import add, xsum


def main():
    """map, starmap and chunks."""
    chunked = add.chunks(zip(range(10), range(10)), 4)
    return {
        "map": ~xsum.map([[0, 1, 2], [5, 5]]),
        "starmap": ~add.starmap([(1, 1), (2, 2)]),
        "chunks": chunked().get(timeout=20),
        "chunks as a group": [len(chunked.group().tasks), chunked.group().delay().get(timeout=20)],
        "sent": add.chunks([(1, 1), (2, 2), (3, 3)], 2).apply_async().get(timeout=20),
        "in a chain": (add.starmap([(1, 1), (2, 2)]) | xsum.s()).delay().get(timeout=20),
        "skewed": [
            task.options["countdown"] for task in add.chunks([(1, 1)] * 6, 2).group().skew(1, 10).tasks
        ],
    }
