// An end of a conversation (see bench/contender) with a node of the package verbose. It is run with `node -e`; VERBOSE_ORIGINAL names the
// directory where the package is installed. Orders and what there is to say are lines, whose first letter says what they are.
'use strict';

// The package writes a line for each event it sends; nobody is to read them, least of all who reads what is said here.
console.log = function () {};

const readline = require('readline');
const verbose = require(process.env.VERBOSE_ORIGINAL + '/node_modules/verbose');

const THERE = 'bench.there';

const node = verbose({});
const say = (kind, text) => process.stdout.write(kind + text + '\n');

// A connection that breaks may be an error of an object that its user does not have. It is told, and does not end the program.
process.on('uncaughtException', (err) => say('t', String(err.message).replace(/\s+/g, ' ')));
for (const trouble of ['disconnect', 'backoff', 'reconnect']) {
  node.stream.on(trouble, () => say('t', trouble));
}
node.stream.on('initialized', () => say('i', ''));

function listen(host) {
  const server = require('net').createServer(); // for a port that is free
  server.listen(0, host, () => {
    const port = server.address().port;
    server.close(() => node.listen(port, host, () => say('a', host + ':' + port)));
  });
}

function dial(addr) {
  const [host, port] = addr.split(':');
  node.connect({ host, port: Number(port) });
}

function obey(line) {
  const rest = line.slice(1);
  switch (line[0]) {
    case 'l': return listen(rest);
    case 'd': return dial(rest);
    case 'h': return void node.on(THERE, (payload) => say('e', payload));
    case 'e': return node.emit(THERE, rest);
  }
}

const lines = readline.createInterface({ input: process.stdin });
lines.on('line', obey);
lines.on('close', () => process.exit(0));
