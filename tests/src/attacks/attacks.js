// Each attack is a function; it returns (or its promise settles) when the forbidden thing was done and throws when it was not.
const fs = require('node:fs');
const os = require('node:os');

const { request } = JSON.parse(fs.readFileSync(0, 'utf8'));
const words = Object.fromEntries(
  request.payload.content.trim().split(/\s+/).map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
);
const { scratch, victim } = words;

const settled = (emitter, good, bad = 'error') =>
  new Promise((resolve, reject) => emitter.once(good, resolve).once(bad, reject));
const check = (holds) => {
  if (!holds) throw new Error('not done');
};

const attacks = {
  harmless() {},
  read_host_file: () => fs.readFileSync('/etc/passwd'),
  read_victim: () => fs.readFileSync(victim),
  write_victim: () => fs.writeFileSync(victim, 'changed'),
  create_file: () => fs.writeFileSync(`${scratch}/new`, ''),
  create_in_working_folder: () => fs.writeFileSync('made-here', ''),
  make_folder: () => fs.mkdirSync(`${scratch}/new`),
  make_link: () => fs.linkSync(victim, `${scratch}/new`),
  make_symlink: () => fs.symlinkSync('/etc/passwd', `${scratch}/new`),
  rename_victim: () => fs.renameSync(victim, `${scratch}/new`),
  remove_victim: () => fs.unlinkSync(victim),
  truncate_victim: () => fs.truncateSync(victim),
  change_mode: () => fs.chmodSync(victim, 0o600),
  change_owner: () => fs.chownSync(victim, 12345, 12345),
  list_folder: () => fs.readdirSync(scratch),
  list_home: () => fs.readdirSync(words.home),
  look_at_victim: () => fs.statSync(victim),
  read_own_environment_file: () => fs.readFileSync('/proc/self/environ'),
  read_parent_environment: () => fs.readFileSync(`/proc/${words.parent}/environ`),
  read_environment: () => check(Object.keys(process.env).length > 0),
  write_own_script: () => fs.appendFileSync(__filename, '\n'),
  tcp_connect: () => settled(require('node:net').connect(Number(words.tcp), '127.0.0.1'), 'connect'),
  udp_send: () =>
    new Promise((resolve, reject) => {
      const socket = require('node:dgram').createSocket('udp4');
      socket.once('error', reject);
      socket.send('x', Number(words.udp), '127.0.0.1', (error) => (error ? reject(error) : resolve()));
    }),
  tcp_listen: () => settled(require('node:net').createServer().listen(0, '127.0.0.1'), 'listening'),
  path_socket: () => settled(require('node:net').connect(words.unix), 'connect'),
  run_command: () => require('node:child_process').execFileSync('/bin/true'),
  run_shell: () => require('node:child_process').execSync('exit 0'),
  run_self: () => require('node:child_process').execFileSync(process.execPath, ['-e', '0']),
  kill_sibling: () => process.kill(Number(words.sibling), 'SIGKILL'),
  signal_parent: () => process.kill(Number(words.parent), 0),
  slow_sibling: () => os.setPriority(Number(words.sibling), 10),
  inherited_descriptor() {
    // Node's own descriptors are event descriptors and pipes: only a regular file can have been inherited.
    for (let descriptor = 3; descriptor < 1024; descriptor++) {
      try {
        if (fs.fstatSync(descriptor).isFile()) return;
      } catch {}
    }
    check(false);
  },
  fork_process: async () => {
    const child = require('node:child_process').fork('-e', [], { execArgv: ['-e', '0'] });
    await settled(child, 'spawn');
  },
  fetch_page: async () => {
    // The listener never answers: that the connection comes is what counts.
    const socket = await settled(require('node:http').get({ host: '127.0.0.1', port: Number(words.tcp) }), 'socket');
    if (socket.connecting) await settled(socket, 'connect');
    // One whose connecting failed at once is not connecting either.
    check(socket.remotePort === Number(words.tcp));
  },
  look_up_name: () => require('node:dns').promises.lookup('localhost'),
  inspector() {
    const inspector = require('node:inspector');
    inspector.open(0, '127.0.0.1');
    check(inspector.url());
  },
  // The kernel is asked over a netlink socket.
  list_interfaces: () => check(Object.keys(os.networkInterfaces()).length > 0),
};

const say = (done, errno) => {
  const result = { kind: 'json', schema_ref: 'any/1', data: { done, errno } };
  const response = { request_id: request.request_id, status: 'ok', result, notes: '' };
  fs.writeSync(1, `${JSON.stringify({ type: 'result', response })}\n`);
  process.exit(0);
};

// A promise that never settles would let Node end without a word.
setTimeout(() => say(false, -1), 5000);
(async () => attacks[words.attack]())().then(
  () => say(true, 0),
  (error) => {
    console.error(error);
    say(false, error.errno ?? 1);
  },
);
