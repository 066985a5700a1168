/** Keeps a gateway alive: notices its death, and starts it again with growing pauses when asked. */

import { setTimeout as sleep } from 'node:timers/promises';

import { Closed, GatewayDied, GatewayError } from './errors.js';
import { Life } from './life.js';
import type { Backoff, Settings } from './settings.js';

type State =
  | { readonly kind: 'running'; readonly life: Life }
  | { readonly kind: 'restarting'; readonly done: Promise<void>; readonly because: GatewayError }
  | { readonly kind: 'dead'; readonly because: GatewayError }
  | { readonly kind: 'closed'; readonly done: Promise<void> };

/** The pause before the start that comes after `failures` failures. */
export function pauseMs({ firstDelayMs, longestDelayMs }: Backoff, failures: number): number {
  return Math.min(longestDelayMs, firstDelayMs * 2 ** failures);
}

export class Supervisor {
  #state: State;
  /** Starts that failed and lives that were too short, since the last long one. */
  #failures = 0;
  readonly #closing = new AbortController();

  private constructor(
    private readonly settings: Settings,
    life: Life,
  ) {
    this.#state = this.#adopt(life);
  }

  static async start(settings: Settings): Promise<Supervisor> {
    return new Supervisor(settings, await Life.start(settings));
  }

  /** The gateway that lives now. Throws where there is none. */
  get life(): Life {
    const state = this.#state;
    switch (state.kind) {
      case 'running':
        return state.life;
      case 'restarting':
        throw died(state.because, 'it is being started again');
      case 'dead':
        throw died(state.because, 'restart() starts it again');
      case 'closed':
        throw new Closed();
    }
  }

  /** Waits for a start that is under way. */
  async ready(): Promise<void> {
    if (this.#state.kind === 'restarting') await this.#state.done;
    // Throws where nothing lives.
    void this.life;
  }

  /** Starts the gateway again where it is dead. */
  restart(): Promise<void> {
    const state = this.#state;
    switch (state.kind) {
      case 'running':
        return Promise.resolve();
      case 'restarting':
        return state.done;
      case 'dead':
        if (this.#isSpent()) this.#failures = 0;
        return this.#restart(state.because);
      case 'closed':
        return Promise.reject(new Closed());
    }
  }

  /** Ends the gateway, or the attempts to start it. */
  close(): Promise<void> {
    if (this.#state.kind === 'closed') return this.#state.done;
    const done = this.#end(this.#state);
    this.#state = { kind: 'closed', done };
    return done;
  }

  async #end(state: State): Promise<void> {
    this.#closing.abort();
    if (state.kind === 'running') await state.life.close();
    if (state.kind === 'restarting') await state.done.catch(() => undefined);
  }

  #adopt(life: Life): State {
    void life.ended.then((because) => this.#bury(life, because));
    return { kind: 'running', life };
  }

  #bury(life: Life, because: GatewayError): void {
    if (this.#state.kind !== 'running' || this.#state.life !== life) return;
    if (life.ageMs >= this.settings.backoff.longestDelayMs) this.#failures = 0;
    this.#state = { kind: 'dead', because };
    if (this.settings.autoRestart && !this.#isSpent()) {
      // Where it fails the state says why.
      this.#restart(because).catch(() => undefined);
    }
  }

  #isSpent(): boolean {
    return this.#failures >= this.settings.backoff.attempts;
  }

  #restart(because: GatewayError): Promise<void> {
    const done = this.#tryAgain(because);
    this.#state = { kind: 'restarting', done, because };
    return done;
  }

  async #tryAgain(died: GatewayError): Promise<void> {
    const { signal } = this.#closing;
    let because = died;
    while (!this.#isSpent()) {
      const pause = pauseMs(this.settings.backoff, this.#failures);
      this.#failures += 1;
      try {
        await sleep(pause, undefined, { signal });
        const life = await Life.start(this.settings, signal);
        if (!signal.aborted) {
          this.#state = this.#adopt(life);
          return;
        }
        await life.close();
      } catch (error) {
        because = error instanceof GatewayError ? error : new GatewayDied(String(error));
      }
      if (signal.aborted) throw new Closed();
    }
    this.#state = { kind: 'dead', because };
    throw because;
  }
}

function died(because: GatewayError, what: string): GatewayDied {
  return new GatewayDied(`${because.message}; ${what}`, because instanceof GatewayDied ? because.exit : undefined);
}
