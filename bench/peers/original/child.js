// A process of a measurement (see bench/child) with a node of the package verbose. It is run with `node -e`; VERBOSE_ORIGINAL
// names the directory where the package is installed.
'use strict';

// The package writes a line for each event it sends; nobody is to read them, least of all who reads the reports.
console.log = function () {};

const fs = require('fs');
const readline = require('readline');
const zlib = require('zlib');
const verbose = require(process.env.VERBOSE_ORIGINAL + '/node_modules/verbose');

const THERE = 'bench.there';
const BACK = 'bench.back';
const BURST = 64; // events of one turn of the event loop: between them it gets to its sockets

const began = process.hrtime.bigint();
const now = () => process.hrtime.bigint() - began;

let spec;
let node;
let payload;
let sent = 0;
let received = 0;
let counted = 0; // events before the measurement
let measuring = false;
let pinged;
let latency = new Map(); // how often, by index in a histogram

// The indices of an HDR histogram of three digits from 1 ns up.
const SUB = 2048;

function indexOf(ns) {
  const bucket = Math.max(0, Math.floor(Math.log2(ns)) - 10);
  return (bucket + 1) * (SUB / 2) + Math.floor(ns / 2 ** bucket) - SUB / 2;
}

// encode makes what stats.LatencyOf reads: HDR's format V2, compressed, in base64.
function encode() {
  const bytes = [];
  const put = (n) => { // a number with a sign, in as many bytes as it needs
    let v = BigInt.asUintN(64, (BigInt(n) << 1n) ^ (BigInt(n) >> 63n));
    while (v >= 128n) {
      bytes.push(Number(v & 127n) | 128);
      v >>= 7n;
    }
    bytes.push(Number(v));
  };
  let next = 0;
  for (const i of [...latency.keys()].sort((a, b) => a - b)) {
    if (i > next) put(next - i); // so many are zero
    put(latency.get(i));
    next = i + 1;
  }
  const head = Buffer.alloc(40);
  head.writeInt32BE(0x1c849313, 0);
  head.writeInt32BE(bytes.length, 4);
  head.writeInt32BE(3, 12);
  head.writeBigInt64BE(1n, 16);
  head.writeBigInt64BE(60000000000n, 24);
  head.writeDoubleBE(1, 32);
  const packed = zlib.deflateSync(Buffer.concat([head, Buffer.from(bytes)]));
  const front = Buffer.alloc(8);
  front.writeInt32BE(0x1c849314, 0);
  front.writeInt32BE(packed.length, 4);
  return Buffer.from(Buffer.concat([front, packed]).toString('base64')).toString('base64');
}

function report(more) {
  const used = process.cpuUsage();
  const status = process.platform === 'linux' ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  const peak = /VmHWM:\s*(\d+) kB/.exec(status);
  fs.writeSync(1, JSON.stringify(Object.assign({
    at: Number(now()), sent, received,
    usage: { cpu_s: (used.user + used.system) / 1e6, allocs: 0, alloc_bytes: 0, peak_rss: peak ? peak[1] * 1024 : 0 },
    traffic: { packets: 0, bytes: 0 },
  }, more)) + '\n');
}

function events() {
  return spec.role === 'source' && spec.load !== 'ping-pong' ? sent : received;
}

function record(ns) {
  if (!measuring) return;
  const i = indexOf(Math.min(Math.max(ns, 1), 60e9));
  latency.set(i, (latency.get(i) || 0) + 1);
}

function ping() {
  sent++;
  pinged = now();
  node.emit(THERE, payload);
}

function saturate() {
  for (let i = 0; i < BURST; i++) {
    node.emit(THERE, payload);
    sent++;
  }
  setImmediate(saturate);
}

function listenFor() {
  switch (spec.role) {
    case 'source':
      node.on(BACK, () => {
        received++;
        record(Number(now() - pinged));
        ping();
      });
      break;
    case 'echo':
      node.on(THERE, (p) => {
        received++;
        node.emit(BACK, p);
      });
      break;
    default:
      node.on(THERE, () => { received++; });
  }
}

function begin(line) {
  spec = JSON.parse(line);
  if (spec.load === 'paced' || spec.ends !== 1 || spec.role === 'relay') {
    throw new Error('the original takes part in one-way and ping-pong only');
  }
  payload = 'x'.repeat(spec.size); // it sends JSON: random bytes would have to be text first
  node = verbose({});
  listenFor();
  if (spec.listen) {
    const server = require('net').createServer(); // for a port that is free
    const host = spec.address || '127.0.0.1';
    server.listen(0, host, () => {
      const port = server.address().port;
      server.close(() => node.listen(port, host, () => report({ addrs: [host + ':' + port] })));
    });
    return;
  }
  const [host, port] = spec.dial.split(':');
  node.connect({ host, port: Number(port) }).once('initialized', () => report({ addrs: [''] }));
}

// awaitEvent answers once there is an event more than before the measurement, where events count.
function awaitEvent(then) {
  if (spec.counts && events() === counted) setTimeout(awaitEvent, 1, then);
  else then();
}

function obey(order) {
  switch (order) {
    case 'go':
      report();
      if (spec.role === 'source') spec.load === 'ping-pong' ? ping() : saturate();
      break;
    case 'flow':
      awaitEvent(report);
      break;
    case 'begin':
      latency = new Map();
      measuring = true;
      counted = events();
      report();
      break;
    case 'end':
      awaitEvent(() => {
        measuring = false;
        report(latency.size > 0 ? { latency: encode() } : {});
      });
      break;
    case 'stop':
      report();
      process.exit(0);
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => {
  try {
    spec === undefined ? begin(line) : obey(line);
  } catch (err) {
    report({ error: String(err.message) });
    process.exit(0);
  }
});
lines.on('close', () => process.exit(0));
