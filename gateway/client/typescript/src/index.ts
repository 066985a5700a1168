/** What this package offers. */

export { Gateway, Gateway as PluginGateway } from './client.js';
export type { PluginGatewayAPI, RegisterOptions } from './api.js';
export { ForbiddenCapability, GatewayEventKind, OMEGA_PLUGIN_API_VERSION, PluginCapability } from './constants.js';
export { runComplianceGate } from './compliance.js';
export type { ComplianceOptions } from './compliance.js';
export * as testing from './testing.js';
export type * from './names.js';
export type { CallOptions } from './channel.js';
export type { SubscribeOptions, Subscription } from './events.js';
export type { Backoff, GatewayOptions } from './settings.js';
export {
  Aborted,
  Closed,
  CommandFailed,
  GatewayDied,
  GatewayError,
  Overloaded,
  ProtocolError,
  RpcCode,
  RpcError,
  SubscriptionEnded,
  Timeout,
} from './errors.js';
export type { Exit } from './errors.js';
export { newRequest, text } from './request.js';
export type { RequestOptions } from './request.js';
export type * from './types.js';
