/** One process of the gateway: its pipes, and its end. It knows nothing of what is said. */

import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';

import { ProtocolError } from './errors.js';
import type { Exit } from './errors.js';
import { LineSplitter } from './lines.js';
import type { Settings } from './settings.js';

/** The longest line of the log that is handed on whole, in characters; what is longer comes in parts. */
const LOG_LINE_CHARS = 64 * 1024;

/** How much of the log's end an exit tells, in characters. */
const LOG_TAIL_CHARS = 8 * 1024;

/** How long what a process left in its pipes may take to come, in milliseconds. */
const PIPES_GRACE_MS = 1000;

export class GatewayProcess {
  /** Settled when the process is gone and all that it wrote was taken. It never fails. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcessWithoutNullStreams;
  #logTail = '';

  constructor(
    private readonly settings: Settings,
    /** Takes a line; may throw a `ProtocolError`. */
    private readonly line: (line: Buffer) => void,
    /** Told once of the first `ProtocolError`; the process is being killed then. */
    private readonly broken: (error: ProtocolError) => void,
  ) {
    const { program, args, env } = settings;
    this.#child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    // First, so that a process that cannot be started is told of whatever else is missing.
    this.exited = this.#watch();
    // A pipe fails when the process ends, and of that its exit tells.
    for (const pipe of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) pipe.on('error', () => undefined);
    this.#readAnswers();
    this.#readLog();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Bytes that the process has not read yet. */
  get unsentBytes(): number {
    return this.#child.stdin.writableLength;
  }

  write(line: Buffer): void {
    if (this.#child.stdin.writable) this.#child.stdin.write(line);
  }

  /** Tells the process that nothing more will be written. */
  endInput(): void {
    this.#child.stdin.end();
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #readAnswers(): void {
    const { maxAnswerBytes } = this.settings;
    const splitter = new LineSplitter(
      maxAnswerBytes,
      () => new ProtocolError(`the gateway sent a line of more than ${maxAnswerBytes} bytes (maxAnswerBytes)`),
    );
    const take = (chunk: Buffer): void => {
      try {
        for (const line of splitter.take(chunk)) this.line(line);
      } catch (error) {
        // Nothing that it says is worth reading now.
        this.#child.stdout.off('data', take).resume();
        this.kill('SIGKILL');
        this.broken(error instanceof ProtocolError ? error : new ProtocolError('a message cannot be read', { cause: error }));
      }
    };
    this.#child.stdout.on('data', take);
  }

  #readLog(): void {
    const { stderr } = this.#child;
    let unfinished = '';
    stderr.setEncoding('utf8');
    stderr.on('data', (chunk: string) => {
      this.#logTail = (this.#logTail + chunk).slice(-LOG_TAIL_CHARS);
      const lines = (unfinished + chunk).split('\n');
      unfinished = lines.pop() ?? '';
      if (unfinished.length > LOG_LINE_CHARS) {
        lines.push(unfinished);
        unfinished = '';
      }
      for (const line of lines) this.settings.log(line);
    });
    stderr.once('end', () => {
      if (unfinished !== '') this.settings.log(unfinished);
    });
  }

  #watch(): Promise<Exit> {
    const child = this.#child;
    return new Promise((resolve) => {
      let grace: NodeJS.Timeout | undefined;
      child.once('exit', () => {
        // Somebody else may hold the pipes open; what the process wrote is there at once.
        grace = setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
        }, PIPES_GRACE_MS);
      });
      child.once('close', (code, signal) => {
        clearTimeout(grace);
        resolve({ code, signal, stderr: this.#logTail });
      });
      child.on('error', (cause) => {
        // With a process it only means that a signal could not be sent.
        if (child.pid === undefined) resolve({ code: null, signal: null, stderr: '', cause });
      });
    });
  }
}
