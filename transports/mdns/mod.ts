/**
 * Multicast DNS: finds the peers of the local network, with no internet and no server.
 *
 * @module
 */
export { MdnsDiscovery, type MdnsDiscoveryOptions } from "./mdns_discovery.ts";
export type { MdnsCounters } from "./mdns_machine.ts";
