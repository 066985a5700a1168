/** The gateway for a host: it starts the command, and each operation is a method. */

import { resolve } from 'node:path';

import type { PluginGatewayAPI, RegisterOptions } from './api.js';
import type { CallOptions } from './channel.js';
import { runCommand } from './command.js';
import { RpcCode, RpcError } from './errors.js';
import type { SubscribeOptions, Subscription } from './events.js';
import { checkPlatform } from './platform.js';
import { ndjson, readEvents } from './records.js';
import * as results from './results.js';
import { settle } from './settings.js';
import type { GatewayOptions } from './settings.js';
import type { Shape } from './shape.js';
import { Supervisor } from './supervisor.js';
import type {
  AnyObject,
  LedgerEvent,
  LedgerReport,
  Manifest,
  Metrics,
  Ping,
  PipelinePolicy,
  PipelineResponse,
  PluginInfo,
  PluginRequest,
  PluginResponse,
  ProofBundle,
  Signature,
  ValidationReport,
} from './types.js';

/**
 * A gateway that this program started.
 *
 * What goes wrong with a plugin is a response (`status`, `notes`). A method's promise is rejected with a
 * `GatewayError` only where the gateway refused the operation itself, or is not there.
 */
export class Gateway implements PluginGatewayAPI {
  /** The reads of the ledger that wait for each other, so that they take the place of one subscription. */
  #reads: Promise<void> = Promise.resolve();

  private constructor(
    private readonly supervisor: Supervisor,
    private readonly afterwards: () => void,
  ) {}

  /** Starts the gateway, and waits until it answers. */
  static async start(options: GatewayOptions = {}): Promise<Gateway> {
    return await Gateway.startThen(options, () => undefined);
  }

  /** The same, with something to do once it is closed. @internal */
  static async startThen(options: GatewayOptions, afterwards: () => void): Promise<Gateway> {
    checkPlatform(options.command);
    const settings = settle(options);
    const { create = false, trust = [] } = options;
    if (create) await runCommand(options, ['init', '--json']);
    for (const key of [trust].flat()) await runCommand(options, ['trust', 'add', '--json', '--', resolve(key)]);
    return new Gateway(await Supervisor.start(settings), afterwards);
  }

  /** The gateway's process, while it lives. Throws where it does not. */
  get pid(): number | undefined {
    return this.supervisor.life.pid;
  }

  /** Calls that the gateway has not answered yet, aborted ones included. */
  get inFlight(): number {
    return this.supervisor.life.channel.inFlight;
  }

  /** Says what is wrong with a manifest, if anything. */
  validateManifest(manifest: Manifest | AnyObject, options?: CallOptions): Promise<ValidationReport> {
    return this.#call('validateManifest', { manifest }, results.validationReport, options);
  }

  /**
   * Registers the package in a folder, with the signature in it or the one given.
   *
   * A manifest alone is a package of one file: what it starts is not there, so the gateway records it as rejected.
   */
  async registerPlugin(
    plugin: string | Manifest | AnyObject,
    signature?: Signature | string,
    options: RegisterOptions = {},
  ): Promise<PluginInfo> {
    const { replace, ...call } = options;
    const offered = typeof plugin === 'string' ? resolve(plugin) : plugin;
    return await this.#call('registerPlugin', { package: offered, signature, replace }, results.pluginInfo, call);
  }

  /** Lets a registered plugin be invoked. */
  enablePlugin(pluginId: string, options?: CallOptions): Promise<PluginInfo> {
    return this.#call('enablePlugin', { plugin_id: pluginId }, results.pluginInfo, options);
  }

  /** Lets a plugin be invoked no more. */
  disablePlugin(pluginId: string, options?: CallOptions): Promise<PluginInfo> {
    return this.#call('disablePlugin', { plugin_id: pluginId }, results.pluginInfo, options);
  }

  /** Every plugin that was registered. */
  listPlugins(options?: CallOptions): Promise<readonly PluginInfo[]> {
    return this.#call('listPlugins', {}, results.pluginInfos, options);
  }

  /** Runs a plugin on one request. */
  invoke(pluginId: string, request: PluginRequest, options?: CallOptions): Promise<PluginResponse> {
    return this.#call('invoke', { plugin_id: pluginId, request }, results.pluginResponse, options);
  }

  /** Runs several plugins on one request. */
  invokePipeline(policy: PipelinePolicy, request: PluginRequest, options?: CallOptions): Promise<PipelineResponse> {
    return this.#call('invokePipeline', { policy, request }, results.pipelineResponse, options);
  }

  /** Exports the proof of what happened in a run. */
  exportProof(runId: string, options?: CallOptions): Promise<ProofBundle> {
    return this.#call('exportProof', { run_id: runId }, results.proofBundle, options);
  }

  /** Asks the gateway who it is. */
  ping(options?: CallOptions): Promise<Ping> {
    return this.#call('ping', {}, results.ping, options);
  }

  /** Reads the whole ledger and says whether it is unbroken. */
  verifyLedger(options?: CallOptions): Promise<LedgerReport> {
    return this.#call('verifyLedger', {}, results.ledgerReport, options);
  }

  /** The gateway's numbers. */
  metrics(options?: CallOptions): Promise<Metrics> {
    return this.#call('metrics', {}, results.metrics, options);
  }

  /** The ledger's events from index `from` on, or from the next one, and only those that are wanted. Eight may be open at a time. */
  async subscribe(wanted: number | SubscribeOptions = {}): Promise<Subscription> {
    const { channel, events } = this.supervisor.life;
    return await events.subscribe(channel, typeof wanted === 'number' ? { from: wanted } : wanted);
  }

  /** Every event that the ledger holds now. It needs the place of one subscription. */
  async getEvents(): Promise<readonly LedgerEvent[]> {
    return await this.#events({});
  }

  /** The events of a run. */
  async getByRun(runId: string): Promise<readonly LedgerEvent[]> {
    return await this.#events({ runId });
  }

  /** The events of a plugin. */
  async getByPlugin(pluginId: string): Promise<readonly LedgerEvent[]> {
    return await this.#events({ pluginId });
  }

  /** The ledger as its files have it: a line of canonical JSON for each event. */
  async toNDJSON(): Promise<string> {
    return ndjson(await this.getEvents());
  }

  /** Waits for a restart that is under way; rejected where the gateway is dead. */
  ready(): Promise<void> {
    return this.supervisor.ready();
  }

  /** Starts the gateway again after its death, with growing pauses between attempts. Calls are not sent again. */
  restart(): Promise<void> {
    return this.supervisor.restart();
  }

  /**
   * Ends the gateway: nothing new is taken, calls in flight are answered, and the process exits. It is sent
   * SIGTERM after `drainMs`, and SIGKILL `killMs` later. Afterwards nothing is left of it.
   */
  async close(): Promise<void> {
    await this.supervisor.close();
    this.afterwards();
  }

  async #events(wanted: SubscribeOptions): Promise<readonly LedgerEvent[]> {
    const events: LedgerEvent[] = [];
    const read = this.#reads.then(() => readEvents((from) => this.subscribe(from), wanted, (event) => void events.push(event)));
    // One that fails does not hold up the next.
    this.#reads = read.catch(() => undefined);
    try {
      await read;
    } catch (error) {
      // What can be no id is the id of no event.
      if (!(error instanceof RpcError) || error.code !== RpcCode.InvalidParams) throw error;
    }
    return events;
  }

  async #call<T>(method: string, params: object, shape: Shape<T>, options?: CallOptions): Promise<T> {
    return await this.supervisor.life.channel.call(method, params, shape, options);
  }
}
