/** The eight operations as an interface: what a host depends on, and what its tests can fake. */

import type { CallOptions } from './channel.js';
import type {
  AnyObject,
  Manifest,
  PipelinePolicy,
  PipelineResponse,
  PluginInfo,
  PluginRequest,
  PluginResponse,
  ProofBundle,
  Signature,
  ValidationReport,
} from './types.js';

export type RegisterOptions = CallOptions & {
  /** Takes the place of a lower version that is registered. */
  readonly replace?: boolean;
};

export interface PluginGatewayAPI {
  validateManifest(manifest: Manifest | AnyObject, options?: CallOptions): Promise<ValidationReport>;
  registerPlugin(
    plugin: string | Manifest | AnyObject,
    signature?: Signature | string,
    options?: RegisterOptions,
  ): Promise<PluginInfo>;
  enablePlugin(pluginId: string, options?: CallOptions): Promise<PluginInfo>;
  disablePlugin(pluginId: string, options?: CallOptions): Promise<PluginInfo>;
  listPlugins(options?: CallOptions): Promise<readonly PluginInfo[]>;
  invoke(pluginId: string, request: PluginRequest, options?: CallOptions): Promise<PluginResponse>;
  invokePipeline(policy: PipelinePolicy, request: PluginRequest, options?: CallOptions): Promise<PipelineResponse>;
  exportProof(runId: string, options?: CallOptions): Promise<ProofBundle>;
}
