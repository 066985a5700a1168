/** Every way in which a call can fail, sorted by whose the fault is. A plugin's fault is none of them: it is a response. */

import { hintFor } from './hints.js';

/** How many of its last lines an ended gateway is quoted with. */
const LAST_LINES = 20;

/** The codes of RPC errors. */
export const RpcCode = {
  /** The message is not JSON under the contract's rules, such as a number that a double cannot hold. */
  ParseError: -32700,
  /** The message is no request, or is longer than the gateway takes. */
  InvalidRequest: -32600,
  /** The gateway has no such method. */
  MethodNotFound: -32601,
  /** The method does not take these params, or what they name is not valid. */
  InvalidParams: -32602,
  /** The gateway or its host failed, or has no room. */
  Internal: -32603,
  /** A registry verb names an unknown plugin. */
  UnknownPlugin: -32001,
  /** Refused by policy or trust. */
  Refused: -32002,
  /** The ledger is unavailable. */
  LedgerUnavailable: -32003,
} as const;

/** What every error of this package is. */
export abstract class GatewayError extends Error {
  abstract override readonly name: string;
}

/** The gateway answered with an error. */
export class RpcError extends GatewayError {
  override readonly name = 'RpcError';

  constructor(
    readonly method: string,
    /** One of `RpcCode`. */
    readonly code: number,
    message: string,
    /** The gateway's own word for the sort of error. */
    readonly kind?: string,
    /** What to do about it, in the words of this package where it knows them. */
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** How a gateway's process ended. */
export type Exit = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it wrote to stderr. */
  readonly stderr: string;
  /** Why it could not be started at all. */
  readonly cause?: Error;
};

/** The gateway's process is gone. Whether a call in flight was carried out is in the ledger. */
export class GatewayDied extends GatewayError {
  override readonly name = 'GatewayDied';

  constructor(
    message: string,
    readonly exit?: Exit,
  ) {
    super(message, exit?.cause === undefined ? undefined : { cause: exit.cause });
  }

  /** The last lines that the gateway wrote to stderr; none where it wrote nothing. */
  get lastLines(): readonly string[] {
    const text = this.exit?.stderr.trimEnd() ?? '';
    return text === '' ? [] : text.split('\n').slice(-LAST_LINES);
  }

  /** What to do about it, where it is known. */
  get hint(): string | undefined {
    return hintFor(this.message, this.lastLines.find(isHint)?.slice(HINT.length));
  }

  static of(exit: Exit): GatewayDied {
    const ended = new GatewayDied(how(exit), exit);
    const last = ended.lastLines.filter((line) => !isHint(line)).at(-1);
    return last ? new GatewayDied(`${how(exit)}: ${last}`, exit) : ended;
  }
}

/** What begins the line with which the command says what to do; the line before it says what is wrong. */
const HINT = 'hint: ';

function isHint(line: string): boolean {
  return line.startsWith(HINT);
}

/** A verb of the command that was run for a function of this package failed. */
export class CommandFailed extends GatewayError {
  override readonly name = 'CommandFailed';

  constructor(
    readonly verb: string,
    /** The command's exit code: 2 wrong usage, 3 refused by policy or trust, 4 the gateway itself failed. */
    readonly code: number,
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

function how({ code, signal, cause }: Exit): string {
  if (cause !== undefined && 'code' in cause && cause.code === 'ENOENT') {
    return `the gateway cannot be started (${cause.message}): install the command plugin-gateway, or name it in the option command`;
  }
  if (cause !== undefined) return `the gateway cannot be started (${cause.message})`;
  if (signal !== null) return `the gateway was ended by ${signal}`;
  return `the gateway exited with code ${code}`;
}

/** The gateway said what is not in the contract. Its process is ended, unless only one result is wrong. */
export class ProtocolError extends GatewayError {
  override readonly name = 'ProtocolError';
}

/** The call's signal was aborted; `cause` is the signal's reason. The gateway was told to cancel the call. */
export class Aborted extends GatewayError {
  /** The name that the platform's own functions give it. */
  override readonly name = 'AbortError';

  constructor(method: string, reason: unknown) {
    super(`${method} was aborted`, { cause: reason });
  }
}

/** The gateway did not answer in the time that the caller gave it. It was told to cancel the call. */
export class Timeout extends GatewayError {
  override readonly name = 'TimeoutError';

  constructor(
    what: string,
    readonly timeoutMs: number,
  ) {
    super(`${what} took longer than ${timeoutMs} ms`);
  }
}

/** A bound of this package was reached. The call was not sent. */
export class Overloaded extends GatewayError {
  override readonly name = 'Overloaded';
}

/** `close()` was called. */
export class Closed extends GatewayError {
  override readonly name = 'Closed';

  constructor() {
    super('the gateway was closed');
  }
}

/** The gateway ended a subscription by itself; the message says why. */
export class SubscriptionEnded extends GatewayError {
  override readonly name = 'SubscriptionEnded';
}
