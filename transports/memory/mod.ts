/**
 * A simulated network for tests and demonstrations: hosts, routers and links under a virtual clock and one seed.
 */
export { type BurstLoss, type LinkConditions, type Ratio } from "./conditions.ts";
export { Directory, type DirectoryListener, type DirectoryRecord } from "./directory.ts";
export { MemoryDiscovery } from "./discovery.ts";
export { type DropReason, type NetworkCounters } from "./engine.ts";
export { type SimulatedHost } from "./host.ts";
export { type LinkCounters, type SimulatedLink } from "./link.ts";
export {
  type HostOptions,
  type LinkOptions,
  type Partition,
  type RouterOptions,
  SimulatedNetwork,
  type SimulatedNetworkOptions,
} from "./network.ts";
export { type SimulatedRouter } from "./router.ts";
export {
  type Dependence,
  type PortAllocation,
  ROUTER_TYPES,
  type RouterBehaviour,
  type RouterChain,
  type RouterType,
} from "./router_types.ts";
export { MemoryTransport } from "./transport.ts";
