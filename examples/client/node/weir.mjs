// Weir over NNG from Node without a dependency: sockets, SP framing and the little msgpack that docs/protocol.md needs.
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { randomUUID } from 'node:crypto';

// --- msgpack: maps, arrays, texts, integers, true, false, nil ---

export function pack(v) {
  const head = (small, max, code, n) => {
    if (n <= max) return Buffer.from([small | n]);
    const b = Buffer.alloc(5);
    b[0] = code; // the 32 bit form
    b.writeUInt32BE(n, 1);
    return b;
  };
  if (v === null || v === undefined) return Buffer.from([0xc0]);
  if (typeof v === 'boolean') return Buffer.from([v ? 0xc3 : 0xc2]);
  if (typeof v === 'string') {
    const text = Buffer.from(v);
    return Buffer.concat([head(0xa0, 31, 0xdb, text.length), text]);
  }
  if (typeof v === 'number' && Number.isInteger(v)) {
    if (v >= 0 && v < 128) return Buffer.from([v]);
    const b = Buffer.alloc(9);
    b[0] = 0xd3;
    b.writeBigInt64BE(BigInt(v), 1);
    return b;
  }
  if (Array.isArray(v)) return Buffer.concat([head(0x90, 15, 0xdd, v.length), ...v.map(pack)]);
  if (typeof v === 'object') {
    const pairs = Object.entries(v).filter(([, x]) => x !== undefined);
    return Buffer.concat([head(0x80, 15, 0xdf, pairs.length), ...pairs.flatMap(([k, x]) => [pack(k), pack(x)])]);
  }
  throw new TypeError(`cannot pack ${typeof v}`);
}

export function unpack(buf) {
  let at = 0;
  const uint = (n) => { const v = n === 8 ? Number(buf.readBigUInt64BE(at)) : buf.readUIntBE(at, n); at += n; return v; };
  const bytes = (n) => { if (at + n > buf.length) throw new RangeError('truncated'); at += n; return buf.subarray(at - n, at); };
  const array = (n) => { const a = []; while (n-- > 0) a.push(value()); return a; };
  const map = (n) => { const m = {}; while (n-- > 0) { const k = value(); m[k] = value(); } return m; };
  function value() {
    const c = uint(1);
    if (c < 0x80) return c;
    if (c < 0x90) return map(c & 15);
    if (c < 0xa0) return array(c & 15);
    if (c < 0xc0) return bytes(c & 31).toString();
    if (c >= 0xe0) return c - 256;
    switch (c) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return Buffer.from(bytes(uint(1 << (c - 0xc4))));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return uint(1 << (c - 0xcc));
      case 0xd0: return bytes(1).readInt8();
      case 0xd1: return bytes(2).readInt16BE();
      case 0xd2: return bytes(4).readInt32BE();
      case 0xd3: return Number(bytes(8).readBigInt64BE());
      case 0xd9: case 0xda: case 0xdb: return bytes(uint(1 << (c - 0xd9))).toString();
      case 0xdc: case 0xdd: return array(uint(c === 0xdc ? 2 : 4));
      case 0xde: case 0xdf: return map(uint(c === 0xde ? 2 : 4));
      default: throw new RangeError(`no msgpack: ${c}`);
    }
  }
  return value();
}

// --- SP: greeting, length, request number ---

const greeting = (protocol) => Buffer.from([0, 0x53, 0x50, 0, 0, protocol, 0, 0]);

export class Refused extends Error {
  constructor(problem) { super(`${problem.status} ${problem.detail}`); this.problem = problem; }
}
export class Lost extends Error {}

// One connection; any number of requests may be under way.
export class Client {
  constructor(url) {
    this.ipc = url.startsWith('ipc://');
    const [, secure, host, port] = this.ipc ? [] : /^(tls\+)?tcp:\/\/\[?([^\]]*?)\]?:(\d+)$/.exec(url);
    const to = { host, port: Number(port), noDelay: true };
    const ca = secure && process.env.WEIR_TLS_CA ? fs.readFileSync(process.env.WEIR_TLS_CA) : undefined;
    this.sock = this.ipc ? net.connect(url.slice(6)) : secure ? tls.connect({ ...to, ca }) : net.connect(to);
    this.waiting = new Map();
    this.number = 0;
    this.input = Buffer.alloc(0);
    this.greeted = false;
    this.sock.write(greeting(0x30));
    this.sock.on('data', (d) => this.#take(d));
    this.sock.on('error', (e) => this.#lost(e.message));
    this.sock.on('close', () => this.#lost('the connection was closed'));
  }

  #lost(why) {
    for (const w of this.waiting.values()) w.reject(new Lost(`${why}; a command may have been executed`));
    this.waiting.clear();
  }

  #take(data) {
    this.input = Buffer.concat([this.input, data]);
    if (!this.greeted && this.input.length >= 8) {
      if (!this.input.subarray(0, 8).equals(greeting(0x31))) { this.sock.destroy(new Error('the peer is no REP socket')); return; }
      this.greeted = true;
      this.input = this.input.subarray(8);
    }
    const head = this.ipc ? 9 : 8;
    while (this.greeted && this.input.length >= head) {
      const n = Number(this.input.readBigUInt64BE(head - 8));
      if (this.input.length < head + n) break;
      const message = this.input.subarray(head, head + n);
      this.input = this.input.subarray(head + n);
      const w = this.waiting.get(message.readUInt32BE(0));
      this.waiting.delete(message.readUInt32BE(0));
      if (w) w.resolve(unpack(message.subarray(4)));
    }
  }

  ask(request) {
    this.number = (this.number + 1) & 0x7fffffff;
    const id = (0x80000000 | this.number) >>> 0;
    const body = pack(request);
    const head = Buffer.alloc(12);
    head.writeBigUInt64BE(BigInt(body.length + 4), 0);
    head.writeUInt32BE(id, 8);
    this.sock.write(Buffer.concat(this.ipc ? [Buffer.from([1]), head, body] : [head, body]));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async command(name, args, fields = {}) {
    return body(await this.ask({ op: 'command', name, args: JSON.stringify(args), idempotency_key: randomUUID(), ...fields }));
  }

  async query(model, key, fields = {}) {
    return body(await this.ask({ op: 'query', model, key: [key].flat().map(String), ...fields }));
  }

  close() { this.sock.end(); }
}

function body(answer) {
  if (!answer.ok) throw new Refused(JSON.parse(answer.problem));
  return JSON.parse(answer.body);
}
