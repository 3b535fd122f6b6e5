// The shop's journey of config/plans/acme.yaml for k6: the same requests in the same steps.
import http from 'k6/http';
import { sleep } from 'k6';
const base = __ENV.TARGET;
const accounts = ['eric', 'phoebe', 'dwight', 'han', 'elaine', 'walter'];
const users = Number(__ENV.USERS), rate = Number(__ENV.RATE), seconds = Number(__ENV.SECONDS);
const ramp = users / rate;
export const options = {
  scenarios: { shop: {
    executor: 'ramping-vus', startVUs: 0, gracefulStop: '0s', gracefulRampDown: '0s',
    stages: [{ duration: `${ramp}s`, target: users }, { duration: `${seconds - ramp}s`, target: users }],
  } },
};
const json = { headers: { 'Content-Type': 'application/json' } };
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const think = () => sleep(0.5 + 2.5 * Math.random());
const post = (path, body, name) => http.post(base + path, JSON.stringify(body), { ...json, tags: { name } });
const get = (path, name) => http.get(base + path, { tags: { name: name || path } });
let userid, ids, product;
const login = () => { userid = post('/login/', { username: pick(accounts), password: 'vmware1!' }, '/login/').json().token; };
const list = () => { ids = get('/products').json().data.map((p) => p.id); };
const one = () => { product = get(`/products/${pick(ids)}`, '/products/{id}').json().data; };
const order = {
  userid: '8888', firstname: 'Eric', lastname: 'Cartman',
  address: { street: '20 Riding Lane Av', city: 'San Francisco', zip: '10201', state: 'CA', country: 'USA' },
  email: 'eric@example.com', delivery: 'UPS/FEDEX',
  card: { type: 'amex/visa/mastercard/bahubali', number: '349834797981', expMonth: '12', expYear: '2030', ccv: '123' },
  cart: [{ id: '1234', description: 'redpants', quantity: '1', price: '4' }, { id: '5678', description: 'bluepants', quantity: '1', price: '4' }],
  total: '100',
};
const add = () => {
  list(); one();
  post(`/cart/item/add/${userid}`, { name: product.name, price: product.price, shortDescription: 'Test add to cart', quantity: 1 + Math.floor(2 * Math.random()), itemid: product.id }, '/cart/item/add/{userid}');
};
export default function () {
  if (!userid) login();
  list(); think();
  for (let n = 0; n < 2; n++) { list(); one(); think(); }
  list(); one();
  for (const n of [1, 2, 3]) get(product[`imageUrl${n}`], `/images/${n}`);
  think();
  get('/'); think(); get('/'); think();
  login(); think();
  add(); think(); add(); think();
  list(); post(`/cart/item/modify/${userid}`, { itemid: pick(ids), quantity: 0 }, '/cart/item/modify/{userid}'); think();
  get(`/cart/items/${userid}`, '/cart/items/{userid}'); post(`/order/add/${userid}`, order, '/order/add/{userid}'); think();
}
