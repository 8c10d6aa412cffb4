"""Remote control: questions and orders to running workers, and their answers, as Celery's tools and Flower speak them."""
