/** What a host can set, and what holds where it sets nothing. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** How a gateway that died is started again. */
export type Backoff = {
  /** How many starts may fail, or end too soon, in a row. */
  readonly attempts: number;
  /** The pause before the first start, in milliseconds; each further one doubles it. */
  readonly firstDelayMs: number;
  /** The longest pause; also how long a gateway must live for its death to count as the first. */
  readonly longestDelayMs: number;
};

export type GatewayOptions = {
  /** The program, or the program and what comes before the verb; `plugin-gateway` where left out. */
  readonly command?: string | readonly [string, ...string[]];
  /** The gateway's state folder; the command's own default where left out. */
  readonly state?: string;
  /** Makes the state and the log's key first, where they are not there yet. */
  readonly create?: boolean;
  /** The paths of public keys to trust first. Whoever has the private one can then register plugins. */
  readonly trust?: string | readonly string[];
  /** The gateway's environment; the host's where left out. */
  readonly env?: NodeJS.ProcessEnv;
  /** Gets each line that the gateway writes to stderr. */
  readonly log?: (line: string) => void;
  /** Whether a gateway that dies is started again by itself. */
  readonly autoRestart?: boolean;
  readonly backoff?: Partial<Backoff>;
  /** How many calls may be in flight. */
  readonly maxInFlight?: number;
  /** The longest message to the gateway, in bytes; its own bound is `channel.max_line_bytes`. */
  readonly maxRequestBytes?: number;
  /** The longest message from the gateway, in bytes. */
  readonly maxAnswerBytes?: number;
  /** How many bytes of messages may wait for a gateway that does not read. */
  readonly maxUnsentBytes?: number;
  /** How many events may wait for a subscriber that does not read. */
  readonly maxQueuedEvents?: number;
  /** How long the gateway may take to open its state, in milliseconds. */
  readonly startTimeoutMs?: number;
  /** How long calls in flight may go on after `close()`, in milliseconds; then SIGTERM. */
  readonly drainMs?: number;
  /** How long the gateway may take to end after SIGTERM, in milliseconds; then SIGKILL. */
  readonly killMs?: number;
};

export type Settings = Required<Omit<GatewayOptions, 'command' | 'state' | 'create' | 'trust' | 'backoff'>> & {
  readonly program: string;
  readonly args: readonly string[];
  readonly backoff: Backoff;
};

const DEFAULTS = {
  /** Somewhat below what the gateway runs and lets wait by default, 1,088, so that it is reached first. */
  maxInFlight: 1024,
  /** The gateway's own default. */
  maxRequestBytes: 16 * MIB,
  /** A proof bundle of some 50,000 events. */
  maxAnswerBytes: 64 * MIB,
  /** Four of the longest messages. */
  maxUnsentBytes: 64 * MIB,
  /** Some 5 MiB of events. */
  maxQueuedEvents: 10_000,
  /** Opening reads the end of the ledger and the registry, not the whole ledger. */
  startTimeoutMs: 30_000,
  /** The gateway's own default after SIGTERM. */
  drainMs: 10_000,
  /** The gateway needs up to 5 seconds to end cancelled calls and 2 to say farewell. */
  killMs: 10_000,
};

const BACKOFF: Backoff = {
  attempts: 8,
  firstDelayMs: 100,
  longestDelayMs: 10_000,
};

/** The longest time that a timer of the platform takes, in milliseconds: 24 days. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Fills in what is left out. Throws a `RangeError` that names a setting out of bounds. */
export function settle(options: GatewayOptions): Settings {
  const { command = 'plugin-gateway', state } = options;
  const [program, ...before]: readonly [string, ...string[]] = typeof command === 'string' ? [command] : command;
  const verb = state === undefined ? ['serve'] : ['serve', '--state', state];
  return {
    program,
    args: [...before, ...verb],
    env: options.env ?? process.env,
    log: options.log ?? (() => undefined),
    autoRestart: options.autoRestart ?? false,
    backoff: positive({ ...BACKOFF, ...options.backoff }),
    ...positive({
      maxInFlight: options.maxInFlight ?? DEFAULTS.maxInFlight,
      maxRequestBytes: options.maxRequestBytes ?? DEFAULTS.maxRequestBytes,
      maxAnswerBytes: options.maxAnswerBytes ?? DEFAULTS.maxAnswerBytes,
      maxUnsentBytes: options.maxUnsentBytes ?? DEFAULTS.maxUnsentBytes,
      maxQueuedEvents: options.maxQueuedEvents ?? DEFAULTS.maxQueuedEvents,
      startTimeoutMs: options.startTimeoutMs ?? DEFAULTS.startTimeoutMs,
      drainMs: options.drainMs ?? DEFAULTS.drainMs,
      killMs: options.killMs ?? DEFAULTS.killMs,
    }),
  };
}

function positive<T extends { readonly [name: string]: number }>(settings: T): T {
  for (const [name, value] of Object.entries(settings)) checkPositive(name, value);
  return settings;
}

/** Throws unless `value` is an integer from 1 to what a timer takes. */
export function checkPositive(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1 || value > LONGEST_TIMER_MS) {
    throw new RangeError(`${name} must be an integer from 1 to ${LONGEST_TIMER_MS}, not ${value}`);
  }
}
