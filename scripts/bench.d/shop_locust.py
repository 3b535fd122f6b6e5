"""The shop's journey of config/plans/acme.yaml for Locust: the same requests in the same steps."""
import os
import random

from locust import FastHttpUser, HttpUser, SequentialTaskSet, between, task

ACCOUNTS = ["eric", "phoebe", "dwight", "han", "elaine", "walter"]
ORDER = {
    "userid": "8888", "firstname": "Eric", "lastname": "Cartman",
    "address": {"street": "20 Riding Lane Av", "city": "San Francisco", "zip": "10201", "state": "CA", "country": "USA"},
    "email": "eric@example.com", "delivery": "UPS/FEDEX",
    "card": {"type": "amex/visa/mastercard/bahubali", "number": "349834797981", "expMonth": "12", "expYear": "2030", "ccv": "123"},
    "cart": [{"id": "1234", "description": "redpants", "quantity": "1", "price": "4"},
             {"id": "5678", "description": "bluepants", "quantity": "1", "price": "4"}],
    "total": "100",
}


class Round(SequentialTaskSet):
    def on_start(self):
        self.login()

    def login(self):
        account = {"username": random.choice(ACCOUNTS), "password": "vmware1!"}
        self.userid = self.client.post("/login/", json=account).json()["token"]

    def list(self):
        self.ids = [product["id"] for product in self.client.get("/products").json()["data"]]

    def product(self):
        path = "/products/" + random.choice(self.ids)
        self.shown = self.client.get(path, name="/products/{id}").json()["data"]

    @task
    def all_products(self):
        self.list()

    @task(2)
    def one_product(self):
        self.list()
        self.product()

    @task
    def images(self):
        self.list()
        self.product()
        for n in (1, 2, 3):
            self.client.get(self.shown[f"imageUrl{n}"], name=f"/images/{n}")

    @task(2)
    def index(self):
        self.client.get("/")

    @task
    def login_again(self):
        self.login()

    @task(2)
    def add_to_cart(self):
        self.list()
        self.product()
        item = {"name": self.shown["name"], "price": self.shown["price"], "shortDescription": "Test add to cart",
                "quantity": random.randint(1, 2), "itemid": self.shown["id"]}
        self.client.post(f"/cart/item/add/{self.userid}", json=item, name="/cart/item/add/{userid}")

    @task
    def modify_cart(self):
        self.list()
        item = {"itemid": random.choice(self.ids), "quantity": 0}
        self.client.post(f"/cart/item/modify/{self.userid}", json=item, name="/cart/item/modify/{userid}")

    @task
    def order(self):
        self.client.get(f"/cart/items/{self.userid}", name="/cart/items/{userid}")
        self.client.post(f"/order/add/{self.userid}", json=ORDER, name="/order/add/{userid}")


if os.environ.get("BENCH_USER") == "fast":
    class Shopper(FastHttpUser):
        tasks = [Round]
        wait_time = between(0.5, 3)
else:
    class Shopper(HttpUser):
        tasks = [Round]
        wait_time = between(0.5, 3)
