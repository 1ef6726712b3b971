// A command, the document it caused, many at once, and a refusal: eval "$(weir env examples/shop)"; node shop.mjs
import { Client, Refused } from './weir.mjs';

const write = new Client(process.env.WEIR_WRITE_NNG_URL);
const read = new Client(process.env.WEIR_READ_NNG_URL);
const order = { customer_id: 40, lines: [{ sku: 'SKU-0007', qty: 1 }] };

const placed = await write.command('place_order', order);
console.log('placed', placed.result, 'at', placed.position);
const document = await read.query('order_view', placed.result.order_id, { min_position: placed.position, wait_ms: 5000 });
console.log('document of', document.customer, 'total', document.total);

const many = await Promise.all(Array.from({ length: 64 }, () => write.command('place_order', order)));
console.log('placed', new Set(many.map((m) => m.result.order_id)).size, 'at once');

try {
  await write.command('place_order', { customer_id: 'nobody', lines: [] });
} catch (e) {
  if (!(e instanceof Refused)) throw e;
  console.log('refused', e.problem.status, e.problem.pointer);
}
write.close();
read.close();
console.log('{"example": "done"}');
