// One GET again and again; THINK seconds apart.
import http from 'k6/http';
import { sleep } from 'k6';
export const options = { discardResponseBodies: true };
const think = Number(__ENV.THINK || 0);
export default function () {
  http.get(__ENV.TARGET);
  if (think > 0) sleep(think);
}
