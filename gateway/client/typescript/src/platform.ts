/** Where the gateway runs. It never looks for anything: it only says what to do elsewhere. */

import { GatewayDied } from './errors.js';

const ELSEWHERE: { readonly [platform: string]: string } = {
  win32: 'on Windows run this program inside WSL2, or in a Linux container',
  darwin: 'on macOS run this program in a Linux container or a Linux virtual machine',
};

const ANYWHERE = 'run this program on a Linux host or in a Linux container';

/** Throws where the gateway cannot run, unless the host names a program of its own to start it by. */
export function checkPlatform(command: string | readonly string[] | undefined): void {
  const { platform } = process;
  const startsByAnother = Array.isArray(command) && command.length > 1;
  if (platform === 'linux' || startsByAnother) return;
  throw new GatewayDied(`the plugin gateway runs on Linux alone: ${ELSEWHERE[platform] ?? ANYWHERE}`);
}
