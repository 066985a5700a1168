/** One life of the gateway, from its start to its end. */

import { Channel } from './channel.js';
import { GatewayDied, ProtocolError, Timeout } from './errors.js';
import type { GatewayError } from './errors.js';
import { Events } from './events.js';
import { GatewayProcess } from './process.js';
import { ping } from './results.js';
import type { Settings } from './settings.js';

/** The major version of the plugin API that this package speaks. */
const API_MAJOR = '1';

/** How long after SIGTERM a second one says that calls in flight are to be cancelled at once, in milliseconds. */
const SECOND_TERM_MS = 1000;

export class Life {
  readonly channel: Channel;
  readonly events: Events;
  /** Settled with the reason when the process is gone and every call is settled. It never fails. */
  readonly ended: Promise<GatewayError>;
  readonly #process: GatewayProcess;
  readonly #startedAt = performance.now();
  #fault: ProtocolError | undefined;

  private constructor(private readonly settings: Settings) {
    this.events = new Events(settings.maxQueuedEvents);
    this.#process = new GatewayProcess(
      settings,
      (line) => this.channel.take(line),
      (error) => this.#break(error),
    );
    this.channel = new Channel(this.#process, settings, (method, params) => this.events.take(method, params));
    this.ended = this.#process.exited.then((exit) => {
      const reason = this.#fault ?? GatewayDied.of(exit);
      this.channel.end(reason);
      this.events.end(reason);
      return reason;
    });
  }

  /** Starts the gateway and waits until it answers. Where that fails no process is left. */
  static async start(settings: Settings, signal?: AbortSignal): Promise<Life> {
    const life = Life.#spawn(settings);
    const options = { signal, timeoutMs: settings.startTimeoutMs };
    try {
      const { api_version } = await life.channel.call('ping', {}, ping, options);
      if (api_version.split('.')[0] !== API_MAJOR) {
        throw new ProtocolError(`the gateway's plugin API is ${api_version}, not ${API_MAJOR}.x`);
      }
      return life;
    } catch (error) {
      life.#process.kill('SIGKILL');
      await life.ended;
      throw error instanceof Timeout ? new Timeout('starting the gateway', error.timeoutMs) : error;
    }
  }

  static #spawn(settings: Settings): Life {
    try {
      return new Life(settings);
    } catch (reason) {
      // The system refused in a way that leaves no process and no pipes, for instance for want of descriptors.
      const cause = reason instanceof Error ? reason : new Error(String(reason));
      throw GatewayDied.of({ code: null, signal: null, stderr: '', cause });
    }
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** How long ago it was started, in milliseconds. */
  get ageMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Lets what is in flight be answered, and ends the process: asked, then by SIGTERM, then by SIGKILL. */
  async close(): Promise<void> {
    const { drainMs, killMs } = this.settings;
    this.events.close();
    this.channel.notify('shutdown');
    this.channel.close();
    this.#process.endInput();
    const timers = [
      setTimeout(() => this.#process.kill('SIGTERM'), drainMs),
      setTimeout(() => this.#process.kill('SIGTERM'), drainMs + SECOND_TERM_MS),
      setTimeout(() => this.#process.kill('SIGKILL'), drainMs + killMs),
    ];
    await this.ended;
    timers.forEach((timer) => clearTimeout(timer));
  }

  #break(error: ProtocolError): void {
    this.#fault = error;
    this.channel.end(error);
    this.events.end(error);
  }
}
