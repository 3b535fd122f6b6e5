//! A shop like the ACME Fitness demo: catalog, login, cart, order, and dials for what goes wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Request, Response, Server, Site};

const USERS: [&str; 6] = ["eric", "phoebe", "dwight", "han", "elaine", "walter"];
const PASSWORD: &str = "vmware1!";
const PRODUCTS: [(&str, f64); 6] = [
    ("Yoga Mat", 62.5),
    ("Water Bottle", 34.99),
    ("Fit Bike", 499.99),
    ("Basket Ball", 110.75),
    ("Smart Watch", 399.59),
    ("Red Pants", 99.0),
];
/// Upper bounds in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What every request meets; can be turned while the shop is open (`PUT /dial`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Dial {
    /// Waited before the answer.
    pub latency: Duration,
    /// Share of requests that are answered with 500.
    pub error_rate: f64,
    /// Processor time burnt for the answer.
    pub cpu: Duration,
}

#[derive(Debug, Default)]
struct State {
    dial: Dial,
    carts: BTreeMap<String, Vec<Value>>,
    n_requests: u64,
    n_orders: u64,
    counters: BTreeMap<(String, String, u16), u64>,
    histogram: [u64; BUCKETS.len()],
    seconds: f64,
}

/// The shop.
#[derive(Debug, Clone, Default)]
pub struct Shop {
    state: Arc<Mutex<State>>,
}

impl Shop {
    /// Opens the shop; port 0 takes a free one.
    pub fn open(port: u16, dial: Dial) -> std::io::Result<(Self, Server)> {
        let shop = Self::default();
        shop.turn(dial);
        let server = Server::start(port, Arc::new(shop.clone()))?;
        Ok((shop, server))
    }

    /// Turns the dials.
    pub fn turn(&self, dial: Dial) {
        self.state().dial = dial;
    }

    /// How many requests customers made, `/metrics` and `/dial` not counted.
    pub fn n_requests(&self) -> u64 {
        self.state().n_requests
    }

    /// How many orders were placed.
    pub fn n_orders(&self) -> u64 {
        self.state().n_orders
    }

    /// How many requests a route got: `("GET", "/products/{id}")`.
    pub fn n_requests_of(&self, method: &str, route: &str) -> u64 {
        let state = self.state();
        let of_route = |((m, r, _), n): (&(String, String, u16), &u64)| {
            (m == method && r == route).then_some(*n)
        };
        state.counters.iter().filter_map(of_route).sum()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dial_request(&self, request: &Request) -> Response {
        let mut state = self.state();
        let wanted = request.json();
        let milliseconds = |key: &str| {
            wanted[key].as_f64().map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1000.0))
        };
        if request.method == "PUT" {
            state.dial = Dial {
                latency: milliseconds("latency_ms").unwrap_or(state.dial.latency),
                error_rate: wanted["error_rate"].as_f64().unwrap_or(state.dial.error_rate),
                cpu: milliseconds("cpu_ms").unwrap_or(state.dial.cpu),
            };
        }
        let now = json!({
            "latency_ms": state.dial.latency.as_secs_f64() * 1000.0,
            "error_rate": state.dial.error_rate,
            "cpu_ms": state.dial.cpu.as_secs_f64() * 1000.0,
        });
        Response::json(200, &now)
    }

    /// Counts the customer in; true when this one meets an error.
    fn enter(&self) -> (Dial, bool) {
        let mut state = self.state();
        let before = state.n_requests;
        state.n_requests += 1;
        let dial = state.dial;
        // Evenly spread and repeatable: the whole part of n × rate grows by one at each error.
        let errors = |n: u64| float(n) * dial.error_rate;
        (dial, errors(before + 1).floor() > errors(before).floor())
    }

    fn leave(&self, request: &Request, route: &str, status: u16, took: Duration) {
        let mut state = self.state();
        let key = (request.method.clone(), route.to_owned(), status);
        *state.counters.entry(key).or_default() += 1;
        let seconds = took.as_secs_f64();
        state.seconds += seconds;
        for (bucket, bound) in state.histogram.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
    }

    fn metrics(&self) -> Response {
        let state = self.state();
        let mut text = "# TYPE shop_requests_total counter\n".to_owned();
        for ((method, route, code), n) in &state.counters {
            let labels = format!(r#"method="{method}",route="{route}",code="{code}""#);
            writeln!(text, "shop_requests_total{{{labels}}} {n}").unwrap();
        }
        text += "# TYPE shop_request_duration_seconds histogram\n";
        for (bound, n) in BUCKETS.iter().zip(state.histogram) {
            writeln!(text, r#"shop_request_duration_seconds_bucket{{le="{bound}"}} {n}"#).unwrap();
        }
        let total: u64 = state.counters.values().sum();
        writeln!(text, r#"shop_request_duration_seconds_bucket{{le="+Inf"}} {total}"#).unwrap();
        writeln!(text, "shop_request_duration_seconds_sum {}", state.seconds).unwrap();
        writeln!(text, "shop_request_duration_seconds_count {total}").unwrap();
        text += "# TYPE process_cpu_seconds_total counter\n";
        writeln!(text, "process_cpu_seconds_total {}", thread_cpu().as_secs_f64()).unwrap();
        Response::new(200, "text/plain; version=0.0.4", text)
    }

    fn page(&self, request: &Request) -> (&'static str, Response) {
        match (request.method.as_str(), request.parts().as_slice()) {
            ("GET", []) => ("/", Response::new(200, "text/html", "<h1>ACME Fitness</h1>")),
            ("GET", ["products"]) => ("/products", data(&all_products())),
            ("GET", ["products", id]) => ("/products/{id}", product_page(id)),
            ("GET", ["static", "images", _]) => {
                ("/static/images/{name}", Response::new(200, "image/jpeg", vec![0xd8; 8192]))
            }
            ("POST", ["login"]) => ("/login/", login(&request.json())),
            ("GET", ["cart", "items", user]) => ("/cart/items/{user}", self.cart(user)),
            ("POST", ["cart", "item", "add", user]) => {
                ("/cart/item/add/{user}", self.add(user, request.json()))
            }
            ("POST", ["cart", "item", "modify", user]) => {
                ("/cart/item/modify/{user}", self.modify(user, &request.json()))
            }
            ("POST", ["order", "add", user]) => {
                ("/order/add/{user}", self.order(user, &request.json()))
            }
            _ => ("other", error(404, "no such page")),
        }
    }

    fn cart(&self, user: &str) -> Response {
        let items = self.state().carts.get(user).cloned().unwrap_or_default();
        Response::json(200, &json!({ "userid": user, "data": items }))
    }

    fn add(&self, user: &str, item: Value) -> Response {
        if item["itemid"].as_str().is_none() || item["quantity"].is_null() {
            return error(400, "an item has `itemid` and `quantity`");
        }
        self.state().carts.entry(user.to_owned()).or_default().push(item);
        Response::json(200, &json!({ "userid": user }))
    }

    fn modify(&self, user: &str, change: &Value) -> Response {
        let Some(id) = change["itemid"].as_str() else {
            return error(400, "which item? `itemid` is missing");
        };
        let mut state = self.state();
        let cart = state.carts.entry(user.to_owned()).or_default();
        if change["quantity"].as_i64() == Some(0) {
            cart.retain(|item| item["itemid"] != id);
        }
        for item in cart.iter_mut().filter(|item| item["itemid"] == id) {
            item["quantity"] = change["quantity"].clone();
        }
        Response::json(200, &json!({ "userid": user }))
    }

    fn order(&self, user: &str, order: &Value) -> Response {
        for field in ["userid", "firstname", "lastname", "address", "card", "cart", "total"] {
            if order[field].is_null() {
                return error(400, &format!("an order has `{field}`"));
            }
        }
        let mut state = self.state();
        state.n_orders += 1;
        state.carts.remove(user);
        let placed =
            json!({ "orderid": format!("order-{}", state.n_orders), "total": order["total"] });
        Response::json(200, &json!({ "userid": user, "data": placed }))
    }
}

#[async_trait::async_trait]
impl Site for Shop {
    async fn answer(&self, request: Request) -> Response {
        match request.path.as_str() {
            "/metrics" => return self.metrics(),
            "/dial" => return self.dial_request(&request),
            _ => (),
        }
        let started = Instant::now();
        let (dial, meets_error) = self.enter();
        if !dial.latency.is_zero() {
            tokio::time::sleep(dial.latency).await;
        }
        burn(dial.cpu);
        let (route, mut response) = self.page(&request);
        if meets_error {
            response = error(500, "the dial says so");
        }
        self.leave(&request, route, response.status, started.elapsed());
        response
    }
}

fn data(content: &Value) -> Response {
    Response::json(200, &json!({ "data": content, "status": 200 }))
}

fn error(status: u16, message: &str) -> Response {
    Response::json(status, &json!({ "message": message, "status": status }))
}

fn product(index: usize) -> Option<Value> {
    let (name, price) = PRODUCTS.get(index)?;
    let image = |n: u8| format!("/static/images/{}_{n}.jpg", name.to_lowercase().replace(' ', "_"));
    Some(json!({
        "id": format!("5c61f497e5fdadefe84ff9b{index}"), "name": name, "price": price,
        "shortDescription": format!("A {name}"), "description": format!("The best {name} there is."),
        "imageUrl1": image(1), "imageUrl2": image(2), "imageUrl3": image(3), "tags": ["fitness"],
    }))
}

fn all_products() -> Value {
    (0..PRODUCTS.len()).filter_map(product).collect()
}

fn product_page(id: &str) -> Response {
    let found = (0..PRODUCTS.len()).filter_map(product).find(|product| product["id"] == id);
    found.map_or_else(|| error(404, "no such product"), |product| data(&product))
}

fn login(who: &Value) -> Response {
    let known = USERS.iter().position(|user| who["username"] == *user);
    match known {
        Some(index) if who["password"] == PASSWORD => Response::json(
            200,
            &json!({ "token": format!("5c61ed848d891bd9e8016{index:03}"), "status": 200 }),
        ),
        _ => error(401, "wrong user name or password"),
    }
}

/// Burns processor time, not just time: waiting for a processor does not count.
fn burn(cpu: Duration) {
    if cpu.is_zero() {
        return;
    }
    let (started, end) = (Instant::now(), thread_cpu() + cpu);
    while thread_cpu() < end && started.elapsed() < cpu * 10 {
        std::hint::black_box((0..2000_u32).fold(0, u32::wrapping_add));
    }
}

/// Processor time of the calling thread, which is the shop's own: inside a test's process the
/// process as a whole does much else.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

fn float(n: u64) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}
