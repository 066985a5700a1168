/** The contract's words as values: the version, the capabilities, the kinds of events. Each has a type of the same name. */

/** The version of the plugin API that this package speaks. */
export const OMEGA_PLUGIN_API_VERSION = '1.0.0';

/** What a plugin may be allowed. */
export const PluginCapability = {
  READ_TEXT: 'read_text',
  READ_JSON: 'read_json',
  READ_BINARY_REF: 'read_binary_ref',
  READ_DATASET_SLICE: 'read_dataset_slice',
  WRITE_SUGGESTION: 'write_suggestion',
  WRITE_REPORT: 'write_report',
} as const;

export type PluginCapability = (typeof PluginCapability)[keyof typeof PluginCapability];

/** What no plugin is ever allowed: a manifest that names one is rejected. */
export const ForbiddenCapability = {
  FILESYSTEM_ACCESS: 'filesystem_access',
  NETWORK_ACCESS: 'network_access',
  PROCESS_SPAWN: 'process_spawn',
  ENV_ACCESS: 'env_access',
} as const;

export type ForbiddenCapability = (typeof ForbiddenCapability)[keyof typeof ForbiddenCapability];

/** What an event of the ledger is about. */
export const GatewayEventKind = {
  REGISTER: 'REGISTER',
  ENABLE: 'ENABLE',
  DISABLE: 'DISABLE',
  INVOKE: 'INVOKE',
  RESULT: 'RESULT',
  REJECT: 'REJECT',
  ERROR: 'ERROR',
  PROOF_EXPORT: 'PROOF_EXPORT',
} as const;

export type GatewayEventKind = (typeof GatewayEventKind)[keyof typeof GatewayEventKind];
