/**
 * Conformance suites for plug-ins: whoever writes a transport, a discovery or a datagram network runs these cases, with
 * any test runner, in real or virtual time, in any runtime.
 */
export { type DatagramNetworkUnderTest, testDatagramNetwork } from "./testing_datagram.ts";
export { type DiscoveryUnderTest, testDiscovery } from "./testing_discovery.ts";
export { type ConformanceCase, ConformanceError, realTime, type Until, virtualTime } from "./testing_kit.ts";
export { testTransport, type TransportUnderTest } from "./testing_transport.ts";
