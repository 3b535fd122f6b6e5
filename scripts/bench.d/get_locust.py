"""One GET again and again; BENCH_THINK seconds apart."""
import os

from locust import FastHttpUser, constant, task

THINK = float(os.environ.get("BENCH_THINK", "0"))


class Reader(FastHttpUser):
    wait_time = constant(THINK)

    @task
    def get(self):
        self.client.get("/")
